//! `postern hisp`, as an integrator meets it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern::{
    config::relay::TlsMode,
    send::{GoAhead, Job, Login, Outcome, Relay},
};
use secrecy::SecretString;
use serde_json::Value;

use crate::support::command::{command, postern, run};

use super::{address, kind, settings, with_ca};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `postern ARGS` and reads its first line of JSON.
fn start(command: &mut Command) -> (Running, BufReader<std::process::ChildStdout>, Value) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let json = serde_json::from_str(&line).expect("one line of JSON");
    (running, out, json)
}

fn port(value: &Value) -> u16 {
    value.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// A document as it travels: the PDF in a C-CDA in a mail.
fn letter(pdf: &[u8]) -> Vec<u8> {
    let cda = format!(
        "<ClinicalDocument><component><nonXMLBody><text mediaType=\"application/pdf\" representation=\"B64\">{}</text>\
         </nonXMLBody></component></ClinicalDocument>",
        BASE64_STANDARD.encode(pdf)
    );
    format!(
        "From: results@lab.example\r\nTo: pcp@clinic.example\r\nSubject: A result\r\nMessage-ID: <9@lab.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
         Words for people \u{7}\r\n--b\r\nContent-Type: text/xml; name=\"document.xml\"\r\n\
         Content-Disposition: attachment; filename=\"document.xml\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        BASE64_STANDARD.encode(cda)
    )
    .into_bytes()
}

async fn submit(dir: &Path, doors: &Value, message: &[u8]) -> Outcome {
    let ca = dir.join(doors["ca_file"].as_str().unwrap());
    let password = std::fs::read_to_string(dir.join(doors["password_file"].as_str().unwrap())).unwrap();
    let relay = Relay::new(with_ca(settings(port(&doors["edge"]), TlsMode::Starttls), &ca)).unwrap();
    let (from, to) = (address("results@lab.example"), address("pcp@clinic.example"));
    let job = Job::new(&from, &to, message).unwrap();
    relay.send(&job, Login::Sender(&SecretString::from(password.trim())), || async { GoAhead::Go }).await
}

#[tokio::test]
async fn a_practice_hisp_starts_from_nothing_and_shows_what_it_got() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let any = ["--relay-port", "0", "--edge-port", "0", "--mx-port", "0", "--bad-tls-port", "0", "--json"];
    let (running, _out, doors) = start(command(dir).args(["hisp", "serve", "--dir", "h"]).args(any));
    let pdf = b"%PDF-1.7 a report";
    let outcome = submit(dir, &doors, &letter(pdf)).await;
    assert_eq!(kind(&outcome), "accepted", "{outcome:?}");
    drop(running);

    let list = postern(dir, &["hisp", "list", "--dir", "h", "--json", "PCP@clinic.example"]);
    let entries: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(entries[0]["message_id"], "<9@lab.example>");
    assert_eq!(entries[0]["door"], "edge");
    let id = entries[0]["id"].as_str().unwrap();
    let table = postern(dir, &["hisp", "list", "--dir", "h"]);
    assert!(table.out.contains(id) && table.out.contains("pcp@clinic.example"), "{}", table.out);

    let show = postern(dir, &["hisp", "show", "--dir", "h", &id[..30]]);
    assert_eq!(show.code, 0, "{}", show.err);
    for part in ["subject   A result", "document.xml", "Words for people \u{fffd}", "PDF of 17 bytes"] {
        assert!(show.out.contains(part), "{part}: {}", show.out);
    }
    let extract = postern(dir, &["hisp", "extract", "--dir", "h", id, "-o", "out.pdf"]);
    assert_eq!(extract.code, 0, "{}", extract.err);
    assert_eq!(std::fs::read(dir.join("out.pdf")).unwrap(), pdf);

    assert_eq!(postern(dir, &["hisp", "show", "--dir", "h", "ffff"]).code, 1);
    let elsewhere = postern(dir, &["hisp", "list", "--dir", "nowhere"]);
    assert_eq!(elsewhere.code, 2);
    assert!(elsewhere.err.contains("there are no mailboxes in nowhere"), "{}", elsewhere.err);
}

#[tokio::test]
async fn its_authority_and_password_outlive_a_restart_and_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let any = ["--relay-port", "0", "--edge-port", "0", "--mx-port", "0", "--bad-tls-port", "0", "--json"];
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_running, _out, _) = start(command(dir).args(["hisp", "serve", "--dir", "h"]).args(any));
        seen.push((std::fs::read(dir.join("h/keys/ca.pem")).unwrap(), std::fs::read(dir.join("h/password")).unwrap()));
    }
    assert_eq!(seen[0], seen[1]);
    for secret in ["h/password", "h/keys/ca.key"] {
        assert_eq!(std::fs::metadata(dir.join(secret)).unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }
}

#[tokio::test]
async fn the_sink_counts_for_a_benchmark_and_leaves_when_its_input_ends() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (mut running, mut out, ready) = start(command(dir).args(["hisp", "sink", "--certificate", "sink.pem"]));
    let relay = Relay::new(with_ca(settings(port(&ready["address"]), TlsMode::Implicit), &dir.join("sink.pem"))).unwrap();
    let (from, to) = (address("a@b.example"), address("c@d.example"));
    let message = letter(&vec![b'x'; 300_000]);
    for _ in 0..5 {
        let job = Job::new(&from, &to, &message).unwrap();
        assert_eq!(kind(&relay.send(&job, Login::Relay, || async { GoAhead::Go }).await), "accepted");
    }
    drop(running.0.stdin.take());
    let mut counts = String::new();
    out.read_to_string(&mut counts).unwrap();
    let counts: Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(counts["messages"], 5);
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn its_authority_issues_keys_that_openssl_believes_and_the_tools_take() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, file, san) in
        [("results@lab.example", "sender", "email:results@lab.example"), ("Clinic.example", "clinic", "DNS:clinic.example")]
    {
        let issued = postern(dir, &["hisp", "certificate", "--dir", "h", name, "--output", file]);
        assert_eq!(issued.code, 0, "{}", issued.err);
        let pem = format!("{file}.pem");
        let verified = run(Command::new("openssl").current_dir(dir).args(["verify", "-CAfile", "h/keys/ca.pem", &pem]));
        assert_eq!(verified.code, 0, "{}", verified.err);
        let names = run(Command::new("openssl").current_dir(dir).args(["x509", "-noout", "-ext", "subjectAltName", "-in", &pem]));
        assert!(names.out.contains(san), "{}", names.out);
    }
    let message =
        "From: results@lab.example\r\nTo: pcp@clinic.example\r\nMessage-ID: <1@lab.example>\r\nSubject: A\r\n\r\nText\r\n";
    std::fs::write(dir.join("m.eml"), message).unwrap();
    let who = ["seal", "--from", "results@lab.example", "--to", "pcp@clinic.example"];
    let keys = ["--cert", "sender.pem", "--key", "sender.key", "--recipient-cert", "clinic.pem", "m.eml"];
    let sealed = postern(dir, &[&who[..], &keys].concat());
    assert_eq!(sealed.code, 0, "{}", sealed.err);

    let wrong = postern(dir, &["hisp", "certificate", "--dir", "h", "no_domain", "--output", "x"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("'no_domain' is not a domain"), "{}", wrong.err);
}
