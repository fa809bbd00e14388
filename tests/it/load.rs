//! People who look while results are sent: how much longer does a delivery take because of them?
//!
//! Results are offered at a fixed rate to a real gateway, turn by turn without anybody in the console and with many sessions, each
//! of which loads a page every ten seconds. `scripts/load` does it with 200 sessions and the program as it is shipped; every run of the
//! tests with a few, to see that it can be measured. `POSTERN_LOAD_SESSIONS` says how many, `POSTERN_LOAD_SECONDS` how long a turn is.

use std::{
    collections::BTreeMap,
    env,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use postern::{
    crypto::password::{Cost, hash},
    domain::{
        Clock as _, OrgScope, Timestamp,
        audit::{Actor, Witness},
        delivery::State,
        id::PersonId,
        person::{Reach, Role},
    },
    observe::{SystemClock, events::PersonAdded, facts::Named},
    store::{
        browse::Sought,
        person::{NewPassword, NewPerson},
        session::{NewSession, Stage},
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    installation::{Arrangement, Installation, Serving},
    postgres::TestDatabase,
};

/// Results a second.
const RATE: u32 = 5;
/// A page each so often in every session.
const EVERY: Duration = Duration::from_secs(10);
/// What people look at.
const PAGES: [&str; 6] = ["/", "/deliveries", "/deliveries?state=accepted", "/worklist", "/fees", "/health"];
/// With everything as it is shipped, people who look may make deliveries this much slower (p95), not more.
const MOST: f64 = 1.10;

fn number(name: &str, otherwise: u32) -> u32 {
    env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// How long each took, shortest first.
fn sorted(mut all: Vec<Duration>) -> Vec<Duration> {
    all.sort();
    all
}

/// The one that 95 of 100 do not exceed, and the like.
fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).clamp(1, sorted.len()) - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_look_do_not_hold_deliveries_up() {
    let (sessions, seconds) = (number("POSTERN_LOAD_SESSIONS", 10), number("POSTERN_LOAD_SECONDS", 4));
    // In pairs, so that what else the machine does meets both alike.
    let pairs = if sessions < 100 { 1 } else { 4 };
    let database = TestDatabase::fresh();
    let arrangement = Arrangement { url: Some(&database.url), more: "[console]\ncodes_for = []", ..Arrangement::default() };
    let installation = Installation::arranged(arrangement).await;
    let serving = installation.serve(None, None);
    let cookies = sign_in(&installation, &database.url, sessions).await;

    let (mut alone, mut watched, mut pages, mut sent) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // What is new (connections, caches, prepared statements) is met by nobody who is measured.
    offer(&installation, &serving, &mut sent, 2).await;
    for _ in 0..pairs {
        alone.push(offer(&installation, &serving, &mut sent, seconds).await);
        let people = People::come(&serving.url, &cookies);
        watched.push(offer(&installation, &serving, &mut sent, seconds).await);
        pages.extend(people.leave().await);
    }
    let accepted = accepted(&installation, &database.url, sent).await;
    let took = |turns: Vec<Vec<(String, Timestamp)>>| {
        sorted(turns.into_iter().flatten().map(|(result, offered)| accepted[&result].since(offered)).collect())
    };
    let (alone, watched, pages) = (took(alone), took(watched), sorted(pages));
    println!("{RATE} results a second, {pairs} x {seconds} s alone and {pairs} x {seconds} s with {sessions} sessions");
    println!("{:>9} {:>9} {:>9}", "p50", "p95", "p99");
    for (what, all) in
        [("deliveries, nobody in the console", &alone), ("deliveries, with the sessions", &watched), ("pages", &pages)]
    {
        let millis = [50, 95, 99].map(|percent| format!("{:.1} ms", share(all, percent).as_secs_f64() * 1000.0));
        println!("{:>9} {:>9} {:>9}  {what} ({})", millis[0], millis[1], millis[2], all.len());
    }
    let raised = share(&watched, 95).as_secs_f64() / share(&alone, 95).as_secs_f64();
    println!("p95 of deliveries with the sessions: {:+.1} %", (raised - 1.0) * 100.0);
    assert!(pages.len() >= cookies.len(), "every session has loaded a page: {}", pages.len());
    // A debug build beside other tests says nothing about that.
    if sessions >= 100 && !cfg!(debug_assertions) {
        assert!(raised < MOST, "p95 is raised by a factor of {raised:.2}");
    }
}

/// So many sessions of one auditor; gives what their cookies hold.
async fn sign_in(installation: &Installation, url: &str, count: u32) -> Vec<String> {
    let store = installation.store_at(url).await;
    let (id, actor, login) = (PersonId::new(), Actor::shell(0, "root"), "auditor@lab.example");
    let event = PersonAdded { person: id, login: Named(login), organizations: 0, role: Role::Auditor };
    let reach = Reach::Installation;
    let new = NewPerson { id, login, name: login, role: Role::Auditor, reach: &reach, password: None, first_until: Timestamp(0) };
    store.add_person(&new, Witness::new(&actor, &event)).await.unwrap();
    let hashed = hash("a long walk by the river", Cost { memory: 64, passes: 1 }).unwrap();
    let password = NewPassword { person: id, hash: &hashed, first_until: None, keep: None };
    store.set_password(&password, Witness::new(&actor, &event)).await.unwrap();
    let mut cookies = Vec::new();
    for _ in 0..count {
        let new = NewSession {
            person: id,
            stage: Stage::Open,
            by_provider: false,
            address: "127.0.0.1",
            agent: "load",
            lasts: Duration::from_hours(1),
            instead_of: None,
        };
        cookies.push(store.begin_session(&new, None).await.unwrap());
    }
    store.close().await;
    cookies
}

/// Offers results for so long, evenly; gives each with the instant at which it was offered.
async fn offer(installation: &Installation, serving: &Serving, sent: &mut usize, seconds: u32) -> Vec<(String, Timestamp)> {
    let first = *sent + 1;
    let offers = (0..RATE * seconds).map(|place| async move {
        // Offered when its time has come, whether the one before was taken or not.
        tokio::time::sleep(Duration::from_secs(1) * place / RATE).await;
        let (number, at) = (first + place as usize, SystemClock.now());
        (installation.submit(serving, number, &format!("nomdn+{number}")).await.unwrap(), at)
    });
    let offered = futures_util::future::join_all(offers).await;
    *sent += offered.len();
    offered
}

/// When each result's delivery was accepted; waits for the last.
async fn accepted(installation: &Installation, url: &str, count: usize) -> BTreeMap<String, Timestamp> {
    let store = installation.store_at(url).await;
    let began = Instant::now();
    loop {
        let all = store.browse(OrgScope::All, &Sought::default(), u32::try_from(count).unwrap() + 1).await.unwrap();
        let done: BTreeMap<String, Timestamp> =
            all.iter().filter(|one| one.state == State::Accepted).map(|one| (one.result.to_string(), one.updated_at)).collect();
        if done.len() == count {
            store.close().await;
            return done;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "{} of {count} were accepted:\n{}", done.len(), installation.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Everybody in the console.
struct People {
    stop: CancellationToken,
    all: Vec<tokio::task::JoinHandle<()>>,
    took: Arc<Mutex<Vec<Duration>>>,
}

impl People {
    /// They come one after the other within the time in which each loads one page.
    fn come(url: &str, cookies: &[String]) -> Self {
        let (stop, took) = (CancellationToken::new(), Arc::<Mutex<Vec<Duration>>>::default());
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let one = |(number, cookie): (usize, &String)| {
            let (client, stop, took) = (client.clone(), stop.clone(), Arc::clone(&took));
            let (url, cookie) = (url.to_owned(), format!("postern={cookie}"));
            // With few of them nobody waits ten seconds for the first.
            let spread = if cookies.len() < 100 { EVERY / 10 } else { EVERY };
            let later = spread * u32::try_from(number).unwrap() / u32::try_from(cookies.len()).unwrap();
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + later, EVERY);
                for page in PAGES.iter().cycle().skip(number) {
                    tokio::select! { _ = ticks.tick() => {}, () = stop.cancelled() => return }
                    let began = Instant::now();
                    let answer = client.get(format!("{url}{page}")).header("cookie", &cookie).send().await.unwrap();
                    let (status, text) = (answer.status(), answer.text().await.unwrap());
                    assert!(status == 200, "{page}: {status} {text}");
                    took.lock().unwrap().push(began.elapsed());
                }
            })
        };
        let all = cookies.iter().enumerate().map(one).collect();
        Self { stop, all, took }
    }

    /// How long each page took.
    async fn leave(self) -> Vec<Duration> {
        self.stop.cancel();
        for one in self.all {
            one.await.unwrap();
        }
        std::mem::take(&mut self.took.lock().unwrap())
    }
}
