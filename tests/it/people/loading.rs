//! Rosters and directories are loaded in the console: looked at first, then as they were looked at. And what somebody sends
//! takes a place and keeps a pace, as what programs send.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use postern::{
    config::{console::ConsoleSection, web::WebSection},
    domain::{
        OrgId,
        person::{Reach, Role},
        time::Span,
    },
    observe::health::Health,
    web::{Web, serve},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::world::{Browser, Seen, World};

const PAGE: &str = "/directory/rosters?organization=north";
const NPIS: [&str; 2] = ["1234567893", "2000000010"];

/// Members by number, each with a provider.
fn roster(members: impl IntoIterator<Item = (u32, usize)>) -> String {
    members.into_iter().fold("Member ID,PCP NPI\n".to_owned(), |mut file, (member, npi)| {
        let _ = writeln!(file, "M{member},{}", NPIS[npi]);
        file
    })
}

/// What a page says about something.
fn fact(seen: &Seen, name: &str) -> String {
    let after = seen.body.split(&format!("<dt>{name}</dt><dd>")).nth(1).unwrap_or_else(|| panic!("no {name}: {}", seen.body));
    after.split("</dd>").next().unwrap().to_owned()
}

async fn look(browser: &mut Browser, file: &str) -> Seen {
    browser.upload(PAGE, "/directory/rosters", &[("for", "north")], ("file", file.as_bytes())).await
}

/// Presses the button of what is looked at.
async fn load(browser: &mut Browser, shown: &Seen, more: &[(&str, &str)]) -> Seen {
    let (roster, rejected) = (shown.field("roster"), shown.field("rejected"));
    let fields = [("for", "north"), ("roster", roster.as_str()), ("rejected", rejected.as_str())];
    browser.send(shown, "/directory/rosters/load", &[&fields, more].concat()).await
}

async fn in_force(world: &World, org: OrgId) -> Option<u64> {
    let all = world.database.store.rosters(org).await.unwrap();
    all.into_iter().find(|roster| roster.state == "active").map(|roster| roster.members)
}

shown! {
    async fn a_roster_is_in_force_only_after_one_has_seen_what_it_changes(world: &World) {
        let org = world.organization("north").await;
        let operator = world.person("jo@lab.example", Role::Operator, Reach::of(BTreeSet::from([org]))).await;
        let mut browser = world.signed_in(operator).await;
        let first = look(&mut browser, &format!("{}M99,not an NPI\n", roster((1..=20).map(|member| (member, 0))))).await;
        let facts = ["Members", "In force now", "New members", "Another provider, plan or day", "Members that go", "Lines left out"];
        assert_eq!(facts.map(|name| fact(&first, name)), ["20", "no roster", "20", "0", "0", "1"]);
        assert!(first.body.contains("22,npi,") && !first.body.contains("not an NPI") && !first.body.contains("M99"), "{}", first.body);
        assert_eq!(in_force(world, org).await, None, "it was only looked at");
        for press in 0..2 {
            let done = load(&mut browser, &first, &[]).await;
            assert_eq!((done.status, done.location.as_str()), (303, format!("{PAGE}&done=roster-loaded").as_str()), "{press}: {}", done.body);
        }
        assert_eq!(in_force(world, org).await, Some(20));

        // One more, one with another provider, one less.
        let second = look(&mut browser, &roster((2..=21).map(|member| (member, usize::from(member == 7))))).await;
        assert_eq!(facts.map(|name| fact(&second, name)), ["20", "20", "1", "1", "1", "0"]);
        assert_eq!(load(&mut browser, &second, &[]).await.status, 303);

        // Half a file takes a word.
        let half = look(&mut browser, &roster((2..=11).map(|member| (member, 0)))).await;
        assert!(half.body.contains("Half a file looks like this: it has 10 members") && !half.body.contains("--force"), "{}", half.body);
        assert_eq!(load(&mut browser, &half, &[]).await.status, 409);
        assert_eq!(in_force(world, org).await, Some(20));
        let other = world.person("other@lab.example", Role::Operator, Reach::Installation).await;
        let mut others = world.signed_in(other).await;
        let page = others.get(PAGE).await;
        let (id, csrf) = (half.field("roster"), page.field("csrf"));
        let theirs = others.post("/directory/rosters/load", &[("csrf", &csrf), ("for", "north"), ("roster", &id), ("force", "yes")]).await;
        assert_eq!(theirs.status, 409, "what another looked at: {}", theirs.body);
        assert_eq!(load(&mut browser, &half, &[("force", "yes")]).await.status, 303);
        assert_eq!(in_force(world, org).await, Some(10));

        // Thrown away it is gone.
        let last = look(&mut browser, &roster([(1, 0)])).await;
        let dropped = browser.send(&last, "/directory/rosters/drop", &[("for", "north")]).await;
        assert_eq!(dropped.location, format!("{PAGE}&done=roster-dropped"));
        assert_eq!(load(&mut browser, &last, &[("force", "yes")]).await.status, 409);
        assert_eq!(in_force(world, org).await, Some(10));
        assert_eq!(world.database.texts("SELECT state FROM roster WHERE state = 'loading'").await, Vec::<String>::new());
        for (file, columns, words) in [
            ("who,npi\nM1,1234567893\n", "", "no column for member_id"),
            ("who,npi\nM1,1234567893\n", "nonsense", "Columns are named as in"),
            ("member,npi,pcp_npi\n", "", "several columns for npi"),
        ] {
            let seen = browser.upload(PAGE, "/directory/rosters", &[("for", "north"), ("columns", columns)], ("file", file.as_bytes())).await;
            assert!(seen.status == 422 && seen.body.contains(words) && !seen.body.contains("--column"), "{file}: {}", seen.body);
        }
        let named = browser.upload(PAGE, "/directory/rosters", &[("for", "north"), ("columns", "member_id=who")], ("file", b"who,npi\nM1,1234567893\n")).await;
        assert_eq!((named.status, fact(&named, "Members")), (200, "1".to_owned()), "{}", named.body);
        let actions = world.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "setting_changed").count(), 3, "{actions:?}");
        assert!(actions.iter().filter(|action| *action == "file_uploaded").count() >= 5, "{actions:?}");
    }

    async fn nobody_loads_for_another_organization_or_without_the_right(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let theirs = world.person("jo@south.example", Role::Operator, Reach::of(BTreeSet::from([south]))).await;
        let mut browser = world.signed_in(theirs).await;
        let file = roster([(1, 0)]);
        let seen = browser.upload("/directory/rosters", "/directory/rosters", &[("for", "north")], ("file", file.as_bytes())).await;
        assert_eq!(seen.status, 404, "{}", seen.body);
        assert_eq!(browser.get("/directory/import").await.status, 403, "a directory answers everybody");
        let auditor = world.person("eve@lab.example", Role::Auditor, Reach::Installation).await;
        let mut browser = world.signed_in(auditor).await;
        let page = browser.get(PAGE).await;
        assert!(page.status == 200 && !page.body.contains("type=\"file\""), "{}", page.body);
        assert_eq!(browser.upload("/account", "/directory/rosters", &[("for", "north")], ("file", file.as_bytes())).await.status, 403);
        assert_eq!(in_force(world, north).await, None);
    }

    async fn a_small_directory_is_loaded_as_it_was_looked_at(world: &World) {
        world.organization("north").await;
        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        let page = browser.get("/directory/import").await;
        for words in ["postern directory import nppes", "postern directory import npd", "everybody: a HISP&#39;s directory"] {
            assert!(page.body.contains(words), "{words}: {}", page.body);
        }
        let rows = |count: u32| (0..count).fold("PROV_NPI,Direct\n".to_owned(), |file, row| file + &format!("1234567893,a{row}@d.example\n"));
        let look = async |browser: &mut Browser, own: &str, file: &str| {
            let fields = [("for", own), ("columns", "npi=PROV_NPI,address=Direct")];
            browser.upload("/directory/import", "/directory/import", &fields, ("file", file.as_bytes())).await
        };
        let load = async |browser: &mut Browser, shown: &Seen, more: &[(&str, &str)]| {
            let digest = shown.field("digest");
            browser.send(shown, "/directory/import/load", &[&[("digest", digest.as_str())], more].concat()).await
        };
        let snapshots = async || world.database.store.snapshots(None).await.unwrap().len();
        let shown = look(&mut browser, "", &format!("{}12,broken\n", rows(10))).await;
        assert_eq!((fact(&shown, "Rows that would be in force"), fact(&shown, "Rows left out")), ("10".to_owned(), "1".to_owned()));
        assert_eq!(snapshots().await, 0, "it was only looked at");
        assert_eq!(load(&mut browser, &shown, &[]).await.location, "/directory?done=directory-loaded");
        let again = load(&mut browser, &shown, &[]).await;
        assert!(again.status == 409 && again.body.contains("loaded already"), "{}", again.body);
        assert_eq!(snapshots().await, 1);
        let fewer = look(&mut browser, "", &rows(3)).await;
        assert!(fewer.body.contains("Half a file looks like this") && !fewer.body.contains("--force"), "{}", fewer.body);
        assert_eq!(load(&mut browser, &fewer, &[]).await.status, 409);
        assert_eq!(load(&mut browser, &fewer, &[("force", "yes")]).await.status, 303);
        let own = look(&mut browser, "north", &rows(2)).await;
        assert_eq!((fact(&own, "Answers for"), fact(&own, "In force now")), ("north".to_owned(), "nothing from this source".to_owned()));
        assert_eq!(load(&mut browser, &own, &[]).await.status, 303);
        let other = world.person("other@lab.example", Role::Admin, Reach::Installation).await;
        let mut others = world.signed_in(other).await;
        let shown = look(&mut browser, "north", &rows(2)).await;
        let page = others.get("/directory/import").await;
        assert_eq!(others.send(&page, "/directory/import/load", &[("digest", &shown.field("digest"))]).await.status, 409, "what another looked at");
        assert_eq!(look(&mut browser, "", "name\nx\n").await.status, 422);
    }
}

/// A door with few places and little patience, and somebody who is signed in there.
async fn door(world: &World) -> (String, String) {
    let settings =
        WebSection { uploads_per_organization: 1, upload_silence: Span(Duration::from_secs(4)), ..WebSection::default() };
    let console = ConsoleSection { codes_for: Vec::new(), ..ConsoleSection::default() };
    let web = Web::new(&settings, world.web.intake.clone(), Health::default(), None).with_console(&console);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(web, listener, CancellationToken::new()));
    let operator = world.person("slow@lab.example", Role::Operator, Reach::Installation).await;
    let token = world.signed_in(operator).await.cookies["postern"].clone();
    (address, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_uploads_takes_a_place_and_gives_it_back_when_it_is_too_slow() {
    let world = World::without_codes(crate::store::world::World::sqlite().await).await;
    world.organization("north").await;
    let (address, token) = door(&world).await;
    let head = |length: usize| {
        format!(
            "POST /directory/rosters HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncookie: postern={token}\r\n\
             content-type: multipart/form-data; boundary=part\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = async |mut stream: TcpStream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        (text.split(' ').nth(1).unwrap_or_default().to_owned(), text)
    };
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(format!("{}--part", head(1_000)).as_bytes()).await.unwrap();
    let waiting = tokio::spawn(answer(slow));
    // The place is taken once the head was read.
    let (status, text) = loop {
        let mut other = TcpStream::connect(&address).await.unwrap();
        other.write_all(format!("{}--part--\r\n", head(10)).as_bytes()).await.unwrap();
        let told = answer(other).await;
        if told.0 != "403" {
            break told;
        }
        assert!(!waiting.is_finished(), "nobody was told to wait");
    };
    assert!(status == "429" && text.contains("you have too many uploads running"), "{text}");
    let (status, text) = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("an end").unwrap();
    assert!(status == "408" && text.contains("the upload was too slow"), "{text}");
    assert!(!world.actions().await.iter().any(|action| action == "roster"), "nothing was taken");
}
