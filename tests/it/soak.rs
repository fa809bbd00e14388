//! Many deliveries, every kind of answer, and processes that are killed at any moment: nothing is lost, everything is
//! charged once, each delivery has one end, and the totals tie.
//!
//! `scripts/soak` does it with 5,000, which takes minutes; every run of the tests with a few hundred. `POSTERN_SOAK` sets how
//! many, `POSTERN_SOAK_SEED` the luck of the draw; both are printed.

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use postern::sandbox::report_pdf::{ReportAbout, make};
use serde_json::{Value, json};

use crate::support::{
    counter::{base64, order},
    installation::{Arrangement, Installation, Serving},
    postgres::TestDatabase,
};

/// How many deliveries, when nobody says.
const DELIVERIES: usize = 400;
/// Recipients of each result.
const RECIPIENTS: usize = 10;
/// Where there is time to answer.
const PATIENT: &str = "direct.lakeside.example";
/// Where silence is an answer after a few seconds.
const HASTY: &str = "direct.hillview.example";
/// Longest the whole may take: so long, and so much for each delivery.
const LONGEST: (Duration, Duration) = (Duration::from_mins(3), Duration::from_millis(300));

/// How an address answers, where, how often among [`WEIGHTS`], and how a delivery to it may end.
type Behaviour = (&'static str, &'static str, u64, &'static [&'static str]);

const BEHAVIOURS: &[Behaviour] = &[
    ("pcp", PATIENT, 30, &["dispatched"]),
    ("twice", PATIENT, 5, &["dispatched"]),
    ("dispatchedonly", PATIENT, 5, &["dispatched"]),
    ("reversed", PATIENT, 5, &["dispatched"]),
    ("delayed", PATIENT, 5, &["dispatched"]),
    ("latedispatch", PATIENT, 5, &["dispatched"]),
    ("lostreply", PATIENT, 3, &["dispatched"]),
    ("failed", PATIENT, 5, &["failed"]),
    ("processedfailure", PATIENT, 5, &["failed"]),
    ("bounced", PATIENT, 5, &["failed"]),
    ("distrusted", PATIENT, 5, &["failed"]),
    // Malformed, and still understood.
    ("whitespace", PATIENT, 3, &["dispatched"]),
    ("linebreak", PATIENT, 3, &["dispatched"]),
    ("extraspace", PATIENT, 3, &["dispatched"]),
    ("notype", PATIENT, 3, &["dispatched"]),
    ("nobrackets", PATIENT, 3, &["dispatched"]),
    ("oddcase", PATIENT, 3, &["dispatched"]),
    ("folded", PATIENT, 3, &["dispatched"]),
    // Nothing that counts.
    ("nomdn", HASTY, 10, &["expired"]),
    ("nodisposition", HASTY, 2, &["expired"]),
    ("othersender", HASTY, 2, &["expired"]),
    ("otherid", HASTY, 2, &["expired"]),
    ("otherrecipient", HASTY, 2, &["expired"]),
    ("clear", HASTY, 2, &["expired"]),
    // Each makes an authority of its own, which takes long.
    ("stranger", HASTY, 1, &["expired"]),
    // A race between the notice and the clock, which either may win.
    ("processedonly", HASTY, 5, &["unconfirmed", "expired"]),
    ("delayed5", HASTY, 5, &["dispatched", "processed", "unconfirmed", "expired"]),
    ("latedispatch5", HASTY, 5, &["dispatched", "unconfirmed", "expired"]),
];

/// Luck that can be had again (`SplitMix64`).
struct Luck(u64);

impl Luck {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn behaviour(&mut self) -> &'static Behaviour {
        let mut left = self.draw(BEHAVIOURS.iter().map(|(_, _, weight, _)| weight).sum());
        let chosen = BEHAVIOURS.iter().find(|(_, _, weight, _)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        chosen.expect("one of them")
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Results for `count` recipients, each with a behaviour of its own.
fn results(luck: &mut Luck, count: usize) -> Vec<Value> {
    let about = ReportAbout {
        title: "Report".into(),
        organization: "North".into(),
        patient: "Morgan Testriver".into(),
        birth_date: "1964-02-17".into(),
        order_id: "S".into(),
        completed: "2026-01-15 10:15".into(),
        reader: "Casey Reader, MD".into(),
    };
    let pdf = base64(&make(1, &about, 0));
    let addresses: Vec<String> = (0..count)
        .map(|n| {
            let (word, domain, ..) = luck.behaviour();
            format!("{word}+{n}@{domain}")
        })
        .collect();
    let result = |(number, addresses): (usize, &[String])| {
        let order_id = format!("S{number:05}");
        let mut order = order(&order_id);
        order["deliver_to"] = addresses.iter().map(|address| json!({ "role": "other", "direct": address })).collect();
        json!({ "order_id": order_id, "site": "RIVERSIDE01", "status": "final", "order": order, "pdf": pdf })
    };
    addresses.chunks(RECIPIENTS).enumerate().map(result).collect()
}

/// Kills one of them now and then, and starts it again.
struct Storm<'a> {
    installation: &'a Installation,
    parts: Vec<(&'static str, Serving)>,
    luck: Luck,
    last: Instant,
    kills: usize,
    /// How many were left at the last one, and how many must have gone since, about.
    unsent: usize,
    step: usize,
    due: usize,
}

impl<'a> Storm<'a> {
    fn over(installation: &'a Installation, luck: Luck, count: usize) -> Self {
        let parts = ["worker", "worker", "track"].map(|part| (part, installation.serve(Some(part), None)));
        let step = (count / 40).max(25);
        Self { installation, parts: parts.into(), luck, last: Instant::now(), kills: 0, unsent: count, step, due: step }
    }

    /// `unsent` deliveries are left. It goes by the work that was done: a fast machine would be done before the first kill, and on
    /// a slow one nothing would happen between two.
    fn blow(&mut self, unsent: usize) {
        if self.unsent.saturating_sub(unsent) < self.due && self.last.elapsed() < Duration::from_mins(1) {
            return;
        }
        let which = usize::try_from(self.luck.draw(3)).unwrap();
        let (part, serving) = &mut self.parts[which];
        serving.kill();
        *serving = self.installation.serve(Some(part), None);
        self.kills += 1;
        (self.unsent, self.last) = (unsent, Instant::now());
        self.due = self.step / 2 + usize::try_from(self.luck.draw(self.step as u64)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_deliveries_with_every_kind_of_answer_and_killed_processes_tie_out() {
    let count = number("POSTERN_SOAK").map_or(DELIVERIES, |count| usize::try_from(count).unwrap());
    let seed = number("POSTERN_SOAK_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("POSTERN_SOAK={count} POSTERN_SOAK_SEED={seed}");
    let mut luck = Luck(seed);
    let database = TestDatabase::fresh();
    let organization = format!("[tracking]\ndispatched = \"always\"\n[[peer]]\ndomain = \"{HASTY}\"\nnotice_within = \"5s\"\n");
    let installation = Installation::arranged(Arrangement {
        worker: "concurrency = 24\nbatch = 32\nlease = \"3s\"",
        url: Some(&database.url),
        relay: "max_connections = 24",
        more: "[track]\npoll = \"200ms\"\nbatch = 64",
        organization: &organization,
        domains: &[HASTY],
        notices_come: true,
        in_memory: true,
        ..Arrangement::default()
    })
    .await;
    let web = installation.serve(Some("web"), None);
    let results = results(&mut luck, count);
    let mut storm = Storm::over(&installation, Luck(seed ^ 1), count);
    let began = Instant::now();
    let submit = async {
        let answers = stream::iter(&results).map(|result| installation.post(&web, result)).buffer_unordered(4);
        let ids: Vec<Result<String, String>> = answers.collect().await;
        ids.into_iter().collect::<Result<Vec<_>, _>>().unwrap()
    };
    tokio::pin!(submit);
    let mut submitted = None;
    let (mut told, mut taken) = (Instant::now(), (Duration::ZERO, Duration::ZERO));
    loop {
        tokio::select! {
            ids = &mut submit, if submitted.is_none() => { submitted = Some(ids); taken.0 = began.elapsed(); },
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        let left =
            |which: &str| -> usize { database.query(&format!("SELECT count(*) FROM delivery WHERE {which}")).parse().unwrap() };
        let unsent = count.saturating_sub(left("state = 'accepted'"));
        // The storm passes over while there is something to send; the last ones are for the clocks.
        if submitted.is_none() || unsent > count / 50 {
            storm.blow(unsent);
        } else if taken.1.is_zero() {
            taken.1 = began.elapsed();
        }
        if submitted.is_some() {
            // What may have arrived twice over needs a person, who has it tried once more.
            for id in database.query("SELECT id FROM delivery WHERE state = 'held' AND reason = 'unconfirmed_send'").lines() {
                let _ = installation.postern_tries(&["delivery", "retry", id]);
            }
            let open = left("state <> 'accepted' OR notice_at IS NOT NULL");
            let mail = database.query("SELECT count(*) FROM inbound WHERE state = 'received'");
            let came: usize = database.query("SELECT count(*) FROM inbound").parse().unwrap();
            if open == 0 && mail == "0" && came >= installation.notices() {
                break;
            }
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            println!(
                "{:>4} s: {unsent} not handed over, {} without an end, {} kills",
                began.elapsed().as_secs(),
                left("notice_at IS NOT NULL"),
                storm.kills
            );
        }
        let states = || database.query("SELECT state, disposition, reason, count(*) FROM delivery GROUP BY 1, 2, 3");
        assert!(
            began.elapsed() < LONGEST.0 + LONGEST.1 * u32::try_from(count).unwrap(),
            "seed {seed}: it does not end:\n{}\n{}",
            states(),
            installation.logs()
        );
    }
    let kills = storm.kills;
    println!(
        "{count} deliveries, {kills} kills: submitted in {:?}, handed over in {:?}, ended in {:?}",
        taken.0,
        taken.1,
        began.elapsed()
    );
    assert!(kills > 2, "it was no storm");
    ends(&installation, &database, count, seed);
}

/// What must be true at the end.
fn ends(installation: &Installation, database: &TestDatabase, count: usize, seed: u64) {
    let query = |sql: &str| database.query(sql);
    let none = |what: &str, sql: &str| assert_eq!(query(sql), "", "seed {seed}: {what}");
    let count = count.to_string();
    // Nothing is lost.
    assert_eq!(query("SELECT count(*) FROM delivery"), count, "seed {seed}");
    assert_eq!(query("SELECT count(DISTINCT address_key) FROM delivery"), count, "seed {seed}");
    let ids = query("SELECT message_id FROM delivery ORDER BY 1");
    let arrived = installation.arrived();
    assert!(
        ids.lines().map(str::to_owned).eq(arrived.keys().map(|id| format!("<{}>", id.trim_matches(['<', '>'])))),
        "seed {seed}: what was accepted is what arrived"
    );
    assert_eq!(
        query("SELECT count(DISTINCT sha256) FROM inbound"),
        installation.notices().to_string(),
        "seed {seed}: each notice is kept"
    );
    none("every message that came in was dealt with", "SELECT id, state, detail FROM inbound WHERE state <> 'settled'");
    // Each has the end its address stands for, and one end only.
    let mut ended: BTreeMap<String, u64> = BTreeMap::new();
    for row in query("SELECT split_part(address, '+', 1), disposition, count(*) FROM delivery GROUP BY 1, 2").lines() {
        let fields: Vec<&str> = row.split('|').collect();
        let may = BEHAVIOURS.iter().find(|(word, ..)| *word == fields[0]).unwrap().3;
        assert!(may.contains(&fields[1]), "seed {seed}: {row}");
        *ended.entry(fields[1].to_owned()).or_default() += fields[2].parse::<u64>().unwrap();
    }
    println!("{ended:?}");
    none(
        "each came to its end once",
        "SELECT d.id, d.disposition FROM delivery d WHERE 1 <> (SELECT count(DISTINCT n.kind) FROM notice n WHERE n.org_id = d.org_id
            AND n.delivery_id = d.id AND n.verdict IN ('applied', 'early') AND n.kind IN ('dispatched', 'failed') AND d.disposition = n.kind)
          + (SELECT count(*) FROM delivery_event e WHERE e.org_id = d.org_id AND e.delivery_id = d.id AND e.event = 'deadline_passed')",
    );
    // Each is charged once; what proved to be a matter of trust is given back once.
    none(
        "one charge for each",
        "SELECT d.id FROM delivery d LEFT JOIN ledger_line l ON l.org_id = d.org_id AND l.delivery_id = d.id AND l.entry_type = 'charge'
         GROUP BY d.id HAVING count(l.delivery_id) <> 1",
    );
    none(
        "one credit for what was not trusted, and no other",
        "SELECT d.id FROM delivery d LEFT JOIN ledger_line l ON l.org_id = d.org_id AND l.delivery_id = d.id AND l.entry_type = 'credit'
         GROUP BY d.id, d.address HAVING count(l.delivery_id) <> CASE WHEN d.address LIKE 'distrusted+%' THEN 1 ELSE 0 END",
    );
    // Each failure is on the worklist, and nothing else is.
    assert_eq!(
        query("SELECT count(*) FROM delivery WHERE fallback = 'held'"),
        query("SELECT count(*) FROM delivery WHERE disposition IN ('failed', 'expired')"),
        "seed {seed}"
    );
    none("nobody holds anything", "SELECT id FROM delivery WHERE lease_owner IS NOT NULL OR early_notice IS NOT NULL");
    // `verify` fails when the totals do not tie or the ledger's chain is broken.
    let verified = installation.json(&["verify"]);
    assert_eq!(verified["verified"], json!(true), "seed {seed}: {verified}");
    assert_eq!(verified["organizations"][0]["charges"].to_string(), count, "seed {seed}: {verified}");
}
