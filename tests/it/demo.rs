//! `postern demo`: one command shows everything, and what it leaves behind can be looked at with every other command.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use postern::{crypto::sha256, sandbox::story::chapter};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::command::{Ran, command, run};

const RESULTS: u32 = 24;

/// A demo with its temporary files in `dir`.
fn demo(dir: &Path, more: &[&str]) -> Ran {
    let temporary = dir.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    run(command(dir).args(["demo", "--once", "--json", "--results", &RESULTS.to_string()]).args(more).env("TMPDIR", temporary))
}

/// The summary of a demo that went well.
fn summary(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}:\n{}", ran.out))
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn the_demo_ties_out_as_often_as_it_is_played_and_leaves_nothing_behind() {
    let dir = tempdir().unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let summary = summary(&demo(dir.path(), &[]));
        let fields: BTreeSet<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["results", "deliveries", "dispositions", "held", "charges", "charged", "ties"];
        assert_eq!(fields, BTreeSet::from(expected));
        assert_eq!((&summary["results"], &summary["ties"]), (&Value::from(RESULTS), &Value::from(true)), "{summary}");
        // Everything that could be routed was handed over and is charged; the rest is held with its reason.
        assert_eq!(summary["deliveries"]["accepted"].as_u64(), summary["charges"].as_u64(), "{summary}");
        assert_eq!(sum(&summary["deliveries"]), summary["charges"].as_u64().unwrap(), "{summary}");
        let said = &summary["dispositions"];
        assert_eq!(sum(said), summary["charges"].as_u64().unwrap(), "the receiving side has said something about each: {said}");
        assert!(said.get("awaited").is_none() && said["dispatched"].as_u64() > said["processed"].as_u64(), "{said}");
        assert_eq!(said["failed"], 2, "one falls back, one needs a person: {said}");
        let charged: f64 = summary["charged"]["USD"].as_str().unwrap().parse().unwrap();
        assert!(charged > 0.0 && sum(&summary["held"]) > 0, "{summary}");
        told.push(summary);
    }
    assert_eq!(told[0], told[1], "the same story twice");
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "a temporary folder was left behind");
}

/// A demo that was kept.
struct Kept {
    root: tempfile::TempDir,
    summary: Value,
}

impl Kept {
    fn play() -> Self {
        let root = tempdir().unwrap();
        let ran = demo(root.path(), &["--dir", "kept"]);
        Self { summary: summary(&ran), root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("kept").join(name)
    }

    /// Runs a command on it.
    fn postern(&self, args: &[&str]) -> Ran {
        run(command(self.root.path()).args(["-c", "kept/postern.toml"]).args(args))
    }

    fn good(&self, args: &[&str]) -> String {
        let ran = self.postern(args);
        assert_eq!(ran.code, 0, "{args:?}:\n{}{}", ran.out, ran.err);
        ran.out
    }

    fn arrived(&self) -> Vec<Value> {
        let ran = run(command(self.root.path()).args(["hisp", "list", "--dir", "kept/hisp", "--json"]));
        serde_json::from_str(&ran.out).unwrap()
    }
}

#[test]
fn a_kept_demo_can_be_looked_at_with_every_other_command() {
    let kept = Kept::play();
    let again = demo(kept.root.path(), &["--dir", "kept"]);
    assert!(again.code == 2 && again.err.contains("not empty"), "{again:?}");

    let work: Vec<Value> = serde_json::from_str(&kept.good(&["worklist", "--json"])).unwrap();
    let (failed, held): (Vec<Value>, Vec<Value>) = work.into_iter().partition(|item| item["reason"] == "remote_failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    // The other one went another way: the delivery that took its place has arrived.
    let all: Vec<Value> = serde_json::from_str(&kept.good(&["delivery", "list", "--json", "--limit", "1000"])).unwrap();
    let show = |delivery: &Value| -> Value {
        serde_json::from_str(&kept.good(&["delivery", "show", "--json", delivery["id"].as_str().unwrap()])).unwrap()
    };
    let instead: Vec<Value> = all.iter().map(show).filter(|shown| !shown["fallback_of"].is_null()).collect();
    assert_eq!(instead.len(), 1, "{instead:?}");
    assert_eq!(
        (&instead[0]["disposition"], &instead[0]["address"]),
        (&"dispatched".into(), &"desk@direct.hillview.example".into())
    );
    let first = all.iter().find(|delivery| delivery["id"] == instead[0]["fallback_of"]).unwrap();
    assert_eq!((&first["disposition"], &show(first)["fallback"]), (&"failed".into(), &"made".into()));
    assert_eq!(held.len() as u64, sum(&kept.summary["held"]), "{held:?}");
    let order = held[0]["order_id"].as_str().unwrap();
    let reason = held[0]["reason"].as_str().unwrap();
    assert!(kept.good(&["explain", order]).contains(reason), "the worklist and explain give the same reason");
    let fees = kept.good(&["fees", "report", "--from", "2020-01-01", "--to", "2100-01-01", "--json"]);
    let charged = kept.summary["charged"]["USD"].as_str().unwrap();
    assert!(fees.contains(&format!("\"{charged}\"")), "{charged}: {fees}");
    kept.good(&["verify"]);

    // What arrives is what was sent, octet for octet.
    let sent: BTreeSet<[u8; 32]> = (0..RESULTS).map(|number| sha256(&chapter(number).pdf())).collect();
    let arrived = kept.arrived();
    assert_eq!(arrived.len() as u64, kept.summary["charges"].as_u64().unwrap());
    for entry in &arrived {
        let id = entry["id"].as_str().unwrap();
        kept.good(&["hisp", "extract", "--dir", "kept/hisp", "--output", "out.pdf", id]);
        let pdf = fs::read(kept.root.path().join("out.pdf")).unwrap();
        assert!(pdf.starts_with(b"%PDF-"));
        assert!(sent.contains(&sha256(&pdf)), "{entry}");
    }
}

#[test]
fn openssl_opens_what_the_demo_sealed() {
    let kept = Kept::play();
    let sealed: Vec<Value> = kept.arrived().into_iter().filter(|entry| entry["door"] == "relay").collect();
    assert!(!sealed.is_empty());
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").arg("cms").args(args).current_dir(kept.path("hisp")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for entry in &sealed {
        let (id, recipient) = (entry["id"].as_str().unwrap(), entry["recipient"].as_str().unwrap());
        let domain = recipient.split_once('@').unwrap().1;
        let (certificate, key) = (format!("keys/{domain}.pem"), format!("keys/{domain}.key"));
        let message = format!("mail/{recipient}/{id}.eml");
        let raw = fs::read(kept.path("hisp").join(&message)).unwrap();
        assert!(!raw.windows(5).any(|window| window == b"%PDF-") && !String::from_utf8_lossy(&raw).contains("ClinicalDocument"));
        openssl(&["-decrypt", "-in", &message, "-recip", &certificate, "-inkey", &key, "-out", "signed.eml"]);
        openssl(&["-verify", "-in", "signed.eml", "-CAfile", "keys/ca.pem", "-out", "inner.eml"]);
        // The signed part is the inner message behind its own Content-Type.
        let lines = |path: &str| String::from_utf8(fs::read(kept.path("hisp").join(path)).unwrap()).unwrap().replace('\r', "");
        let (part, inner) = (lines("inner.eml"), lines(&format!("mail/{recipient}/{id}.inner.eml")));
        assert!(part.to_ascii_lowercase().starts_with("content-type: message/rfc822"), "{}", &part[..80]);
        assert!(part.trim_end().ends_with(inner.trim_end()), "{recipient}: openssl found another message than we did");
    }
}

#[test]
fn a_payers_reports_of_the_demo_tie_to_its_results_and_deliveries_in_every_form() {
    let kept = Kept::play();
    let now = kept.good(&["directory", "list", "--json"]);
    let loads: Value = serde_json::from_str(&now).unwrap();
    let loaded: jiff::Timestamp = loads[0]["loaded_at"].as_str().expect("when it was loaded").parse().unwrap();
    let day = loaded.in_tz("America/New_York").unwrap().strftime("%Y-%m").to_string();
    let ask = |part: &str, more: &[&str]| {
        kept.good(&[&["report", part, "--organization", "lakeshore-plan", "--month", &day], more].concat())
    };
    let json = |part: &str| -> Value { serde_json::from_str(&ask(part, &["--json"])).unwrap() };
    let (delivered, undeliverable, without) = (json("delivered"), json("undeliverable"), json("no-address"));
    let totals = &delivered["totals"];
    assert_eq!((totals, totals), (&undeliverable["totals"], &without["totals"]), "one set of totals, whatever is listed");
    let number = |name: &str| totals[name].as_u64().unwrap();
    assert!(number("delivered") > 0 && number("failed") > 0 && number("no_address") > 0, "{totals}");
    assert_eq!(number("results"), sum(&totals["by_state"]));
    let fates = ["delivered", "pending", "failed", "not_sent", "no_address"].map(number);
    assert_eq!(number("pcp_results"), fates.iter().sum::<u64>());
    let all: Vec<Value> =
        serde_json::from_str(&kept.good(&["delivery", "list", "--json", "--limit", "1000", "--organization", "lakeshore-plan"]))
            .unwrap();
    assert_eq!((number("deliveries"), sum(&totals["deliveries_by_state"])), (all.len() as u64, all.len() as u64));
    let rows = |report: &Value| report["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&undeliverable).len() as u64, number("failed") + number("no_address"));
    assert!(rows(&undeliverable).iter().all(|row| !row["next_action"].as_str().unwrap().is_empty()));
    assert_eq!(rows(&without).iter().map(|row| row["results"].as_u64().unwrap()).sum::<u64>(), number("no_address"));
    for (part, report) in [("delivered", &delivered), ("undeliverable", &undeliverable), ("no-address", &without)] {
        let csv = ask(part, &["--format", "csv"]);
        assert_eq!(csv.lines().count(), 1 + rows(report).len(), "{csv}");
        assert!(
            csv.ends_with("\r\n") && csv.starts_with(if part == "undeliverable" { "order_id," } else { "pcp_npi," }),
            "{csv}"
        );
    }
}
