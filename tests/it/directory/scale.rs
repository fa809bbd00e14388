//! A national file of endpoints: how many rows a second, in how much memory, and how long one look-up takes. At full size and
//! in release: `POSTERN_DIRECTORY_ROWS=600000 cargo nextest run --release --test it --no-capture directory::scale`.

use std::{fmt::Write as _, io::Read, time::Instant};

use postern::{
    domain::{Npi, route::DirectorySource, time::Span},
    resolve::directory::{Guard, Terms, drain, nppes::NppesEndpoints, rows::Sink},
    store::directory::NewSnapshot,
};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::counter::Counter;

/// An NPI that nobody has, by number.
fn npi(n: u64) -> String {
    let nine = 200_000_000 + n;
    let valid = |digit: &u64| format!("{nine}{digit}").parse::<Npi>().is_ok();
    let digit = (0..10).find(valid).expect("one digit is right");
    format!("{nine}{digit}")
}

/// An endpoint file in no order, with dirt in it: other types, duplicates, case, spaces, line breaks, e-mail of the wrong kind,
/// masked numbers, wrong NPIs.
struct Generated {
    rows: u64,
    at: u64,
    line: Vec<u8>,
    done: usize,
}

impl Generated {
    fn new(rows: u64) -> Self {
        let header = "NPI,Endpoint Type,Endpoint Type Description,Endpoint,Affiliation,Endpoint Description,Affiliation Legal Business Name,Use Code,Use Description,Other Use Description,Content Type,Content Description,Other Content Description,Affiliation Address Line One,Affiliation Address Line Two,Affiliation Address City,Affiliation Address State,Affiliation Address Country,Affiliation Address Postal Code\r\n";
        Self { rows, at: 0, line: format!("\u{feff}{header}").into_bytes(), done: 0 }
    }

    fn next_line(&mut self) {
        self.line.clear();
        self.done = 0;
        if self.at == self.rows {
            return;
        }
        // Multiplying by a number without a common factor mixes the order; eight in ten have a row of their own.
        let n = self.at * 7_919 % self.rows;
        let who = if n.is_multiple_of(97) { "1234567890".to_owned() } else { npi(n * 8 / 10) };
        let (of, address) = match n % 20 {
            0..=11 => ("DIRECT", format!("First.Last{}@direct.clinic{}.example", n * 8 / 10, n % 5_000)),
            12 => ("DIRECT", format!(" mailto:x{n}@DIRECT.example ")),
            13 => ("DIRECT", format!("doc{n}@gmail.com")),
            14 => ("CONNECT", format!("doc{n}@direct.example")),
            15 => ("SOAP", format!("https://soap{n}.example/x?y")),
            16 => ("FHIR", format!("https://fhir{n}.example/r4")),
            17 => ("OTHERS", format!("results{n}@direct.south.example")),
            18 => ("DIRECT", "***_$$$-1234; a@b.example".to_owned()),
            _ => ("REST", String::new()),
        };
        let mut line = String::new();
        let _ = write!(
            line,
            "\"{who}\",\"{of}\",\"Description\",\"{address}\",\"Y\",\"secure 'mail'\",\"CLINIC {}{} LLC\",\"HIE\",\"Health Information Exchange (HIE)\",\"\",\"CSV\",\"CSV\",\"\",\"{n} TEST WAY\",\"\",\"DAYTON\",\"OH\",\"US\",\"454020001\"\r\n",
            n % 5_000,
            if n.is_multiple_of(31) { "\n$$$" } else { "" },
        );
        self.line.extend_from_slice(line.as_bytes());
        self.at += 1;
    }
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.done == self.line.len() {
                self.next_line();
                if self.line.is_empty() {
                    break;
                }
            }
            let some = (buffer.len() - filled).min(self.line.len() - self.done);
            buffer[filled..filled + some].copy_from_slice(&self.line[self.done..self.done + some]);
            filled += some;
            self.done += some;
        }
        Ok(filled)
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// The same number of rows of the same length, in statements of the same size, with nothing else to do.
async fn raw_insert(folder: &std::path::Path, rows: u64) -> f64 {
    let url = format!("sqlite:{}?mode=rwc", folder.join("raw.db").display());
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    let make =
        "PRAGMA journal_mode = WAL; CREATE TABLE t (npi TEXT, print BIGINT, rest TEXT, PRIMARY KEY (npi, print)) WITHOUT ROWID";
    sqlx::raw_sql(make).execute(&mut raw).await.unwrap();
    let sql = format!("INSERT INTO t VALUES {}", vec!["(?,?,?)"; 1_000].join(","));
    let rest = "First.Last@direct.clinic.example CLINIC LLC OH 454020001";
    let began = Instant::now();
    for batch in 0..rows / 1_000 {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.clone()));
        for n in 0..1_000_u32 {
            query = query.bind(format!("{:010}", batch * 1_000 + u64::from(n))).bind(i64::from(n)).bind(rest);
        }
        query.execute(&mut raw).await.unwrap();
    }
    began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_national_file_loads_in_bounded_memory_and_a_look_up_is_quick() {
    let rows = std::env::var("POSTERN_DIRECTORY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(20_000_u64);
    let counter = Counter::open().await;
    let raw = raw_insert(counter.dir.path(), rows).await;
    let new = NewSnapshot { source: DirectorySource::Nppes, org: None, file: "generated" };
    let began = Instant::now();
    for round in ["first", "second"] {
        let began = Instant::now();
        let read = move |sink: Sink<'_>| drain(NppesEndpoints::new(Generated::new(rows))?, sink);
        let terms = Terms { guard: Guard::default(), ..Terms::default() };
        let loaded = postern::resolve::directory::load(&counter.store, new, read, terms).await.unwrap();
        let took = began.elapsed().as_secs_f64();
        let direct = loaded.counts["DIRECT"];
        println!(
            "{round} load: {rows} rows in {took:.2} s, {:.0} rows/s, {:.2} x raw insert; {} in force",
            f64::from(u32::try_from(rows).unwrap()) / took,
            took / raw,
            loaded.entries
        );
        assert!(direct.taken * 10 > rows * 6 && direct.taken < direct.rows, "{direct:?}");
        assert!(loaded.rejected > rows / 30 && loaded.webmail > rows / 30, "{loaded:?}");
    }
    println!("both in {:.2} s, peak {} MiB", began.elapsed().as_secs_f64(), peak_mib());
    assert!(peak_mib() < 200, "{} MiB", peak_mib());

    let asked: Vec<Npi> = (0..1_000_u64).map(|n| npi(n * 577 % rows).parse().unwrap()).collect();
    let began = Instant::now();
    for npi in &asked {
        counter.store.directory_findings(counter.org, npi, Span::seconds(60)).await.unwrap();
    }
    let each = began.elapsed().as_secs_f64() * 1_000.0 / 1_000.0;
    println!("a look-up takes {each:.3} ms");
    assert!(each < 5.0, "{each} ms: is it read through an index?");
}
