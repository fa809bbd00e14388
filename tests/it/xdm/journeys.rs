//! From the sender's result to what lies in the recipient's mailbox, in each way a message can be made up.

use std::{fs, io::Read as _, sync::Arc};

use postern::{
    document::xdm::unpack::{is_zip, unpack},
    observe::SystemClock,
    sandbox::{practice::Practice, story::chapter},
};
use serde_json::{Value, json};

use crate::support::{
    counter::{base64, order},
    installation::{Installation, Serving, wait_for},
};

const DOMAIN: &str = "direct.lakeside.example";
/// A domain whose record system wants packages.
const EMR: &str = "direct.emr.example";

/// An installation whose organization says this of its messages.
async fn installation(message: &str) -> Installation {
    let installation = Installation::open("", None).await;
    says(&installation, message);
    installation
}

/// Applies the organization anew with this section.
fn says(installation: &Installation, message: &str) {
    let file = installation.dir.path().join("north.toml");
    let toml = fs::read_to_string(&file).unwrap();
    let (own, _) = toml.split_once("[message]").unwrap_or((&toml, ""));
    fs::write(&file, format!("{own}\n[message]\n{message}\n")).unwrap();
    installation.postern(&["org", "apply", "north.toml"]);
}

/// A result with a report of its own for an address.
fn result(order_id: &str, status: &str, address: &str, report: u32) -> Value {
    let mut order = order(order_id);
    order["deliver_to"] = json!([{ "role": "pcp", "direct": address }]);
    let pdf = base64(&chapter(report).pdf());
    json!({ "order_id": order_id, "site": "RIVERSIDE01", "status": status, "order": order, "pdf": pdf })
}

/// What arrived in a mailbox, opened, once there are `count` messages: as text of the command, and its attachments.
struct Arrived {
    id: String,
    shown: String,
    subject: String,
    attachments: Vec<(String, Vec<u8>)>,
}

fn arrived(installation: &Installation, address: &str, count: usize) -> Vec<Arrived> {
    let list = || {
        let list = installation.json(&["hisp", "list", "--dir", "hisp", address]);
        list.as_array().cloned().filter(|list| list.len() == count)
    };
    let entries = wait_for("the messages", list).unwrap_or_else(|| panic!("{}", installation.logs()));
    let read = |entry: &Value| {
        let id = entry["id"].as_str().unwrap().to_owned();
        let raw = installation.postern(&["hisp", "show", "--dir", "hisp", "--raw", &id]);
        let head = raw.split_once("\r\n\r\n").unwrap().0;
        assert!(!head.contains("Subject") && !head.contains("XDM"), "outside: {head}");
        let inner = installation.postern(&["hisp", "show", "--dir", "hisp", "--inner", &id]);
        let message = mail_parser::MessageParser::default().parse(inner.as_bytes()).unwrap();
        let attachments = message.attachments().map(|part| {
            let kind = mail_parser::MimeHeaders::content_type(part).unwrap();
            (format!("{}/{}", kind.ctype(), kind.subtype().unwrap()), part.contents().to_vec())
        });
        Arrived {
            shown: installation.postern(&["hisp", "show", "--dir", "hisp", &id]),
            subject: message.subject().unwrap().to_owned(),
            attachments: attachments.collect(),
            id,
        }
    };
    entries.iter().map(read).collect()
}

impl Arrived {
    fn kinds(&self) -> Vec<&str> {
        self.attachments.iter().map(|(kind, _)| kind.as_str()).collect()
    }

    fn package(&self) -> &[u8] {
        &self.attachments.iter().find(|(_, content)| is_zip(content)).expect("a package").1
    }
}

/// Submits a result and gives what arrives.
async fn sent(installation: &Installation, serving: &Serving, order_id: &str, address: &str) -> Arrived {
    installation.post(serving, &result(order_id, "final", address, 0)).await.unwrap();
    arrived(installation, address, 1).remove(0)
}

fn extracted(installation: &Installation, id: &str) -> Vec<u8> {
    installation.postern(&["hisp", "extract", "--dir", "hisp", "--output", "out.pdf", id]);
    fs::read(installation.dir.path().join("out.pdf")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_make_up_a_message_arrives_whole_at_the_hisp() {
    let installation = installation("").await;
    let pdf = chapter(0).pdf();
    for (n, (packaging, place)) in
        [("attachment", "inside"), ("attachment", "beside"), ("xdm", "inside"), ("xdm", "beside")].into_iter().enumerate()
    {
        says(&installation, &format!("packaging = \"{packaging}\"\npdf = \"{place}\""));
        let mut serving = installation.serve(None, None);
        let arrived = sent(&installation, &serving, &format!("W{n}"), &format!("w{n}@{DOMAIN}")).await;
        serving.kill();

        let way = format!("{packaging}, {place}: {}", arrived.shown);
        let beside = place == "beside";
        if packaging == "xdm" {
            assert_eq!(arrived.subject, "Clinical result XDM/1.0/DDM", "{way}");
            assert_eq!(arrived.kinds(), ["text/plain", "application/zip"], "{way}");
            let documents = unpack(arrived.package()).unwrap();
            assert_eq!(documents.len(), if beside { 2 } else { 1 }, "{way}");
            assert!(documents.iter().all(|document| document.hash_agrees == Some(true)), "{way}");
            assert!(!beside || documents[1].bytes == pdf, "{way}");
            for document in &documents {
                assert!(arrived.shown.contains(&format!("  inside  {}", document.media_type.as_deref().unwrap())), "{way}");
                assert!(arrived.shown.contains(&document.name), "{way}");
            }
        } else {
            assert_eq!(arrived.subject, "Clinical result", "{way}");
            let expected = ["text/plain", "application/xml", "application/pdf"];
            assert_eq!(arrived.kinds(), expected[..if beside { 3 } else { 2 }], "{way}");
            assert!(!beside || arrived.attachments[2].1 == pdf, "{way}");
        }
        assert!(extracted(&installation, &arrived.id) == pdf, "{way}");
        opens(&installation, &arrived, &pdf);
    }
}

/// `postern open` lists what is enclosed, and saves the PDF wherever it is.
fn opens(installation: &Installation, arrived: &Arrived, pdf: &[u8]) {
    let raw = installation.postern(&["hisp", "show", "--dir", "hisp", "--raw", &arrived.id]);
    fs::write(installation.dir.path().join("raw.eml"), raw).unwrap();
    let (cert, key) = (format!("hisp/keys/{DOMAIN}.pem"), format!("hisp/keys/{DOMAIN}.key"));
    let keys = ["open", "--cert", &cert, "--key", &key, "--anchor", "hisp/keys/ca.pem"];
    let words = installation.postern(&[&keys[..], &["--save-pdf", "opened.pdf", "raw.eml"]].concat());
    assert!(fs::read(installation.dir.path().join("opened.pdf")).unwrap() == pdf, "{words}");
    let judged: Value = serde_json::from_str(&installation.postern(&[&keys[..], &["--json", "raw.eml"]].concat())).unwrap();
    let documents = judged["documents"].as_array().unwrap();
    let packages = arrived.attachments.iter().filter(|(_, content)| is_zip(content));
    let inside: usize = packages.map(|(_, package)| unpack(package).unwrap().len()).sum();
    assert_eq!(documents.len(), arrived.attachments.len() + inside, "{judged}");
    for document in documents {
        assert!(words.contains(document["name"].as_str().unwrap()), "{words}");
        assert_eq!(document["problem"], Value::Null, "{judged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_domain_gets_what_it_wants_and_a_correction_replaces_the_documents_it_has() {
    let installation =
        installation(&format!("[[message.domain]]\ndomain = \"{EMR}\"\npackaging = \"xdm\"\npdf = \"beside\"")).await;
    let keys = installation.dir.path().join("hisp/keys");
    Practice::open(&keys, Arc::new(SystemClock)).unwrap().domain(EMR).unwrap();
    installation.postern(&["trust", "certificates", "import", "--organization", "north", &format!("hisp/keys/{EMR}.pem")]);
    let serving = installation.serve(None, None);
    let other = sent(&installation, &serving, "D1", &format!("pcp@{DOMAIN}")).await;
    assert_eq!(other.kinds(), ["text/plain", "application/xml"], "{}", other.shown);

    let address = format!("pcp@{EMR}");
    let first = sent(&installation, &serving, "D2", &address).await;
    assert_eq!(first.kinds(), ["text/plain", "application/zip"], "{}", first.shown);
    installation.post(&serving, &result("D2", "corrected", &address, 1)).await.unwrap();
    let both = arrived(&installation, &address, 2);
    let corrected = both.iter().find(|arrived| arrived.id != first.id).unwrap();
    assert_eq!(corrected.subject, "Corrected clinical result XDM/1.0/DDM");
    assert!(corrected.shown.contains("CORRECTED RESULT"), "{}", corrected.shown);
    assert!(extracted(&installation, &corrected.id) == chapter(1).pdf());

    // The id in each C-CDA is the entry's; the new one replaces the old one, and the PDF the PDF.
    let (old, new) = (cda_id(&first), cda_id(corrected));
    let (old_ids, new_ids) = (entries(&first), entries(corrected));
    assert_eq!(
        (old_ids[0].as_str(), new_ids[0].as_str()),
        (format!("urn:uuid:{old}").as_str(), format!("urn:uuid:{new}").as_str())
    );
    let metadata = metadata(corrected);
    for (old, new) in old_ids.iter().zip(&new_ids) {
        let replaces =
            format!("associationType=\"urn:ihe:iti:2007:AssociationType:RPLC\" sourceObject=\"{new}\" targetObject=\"{old}\"");
        assert!(metadata.contains(&replaces), "{replaces}:\n{metadata}");
    }
    assert!(!self::metadata(&first).contains("AssociationType:RPLC"));
}

/// The root of the id of the C-CDA in a package.
fn cda_id(arrived: &Arrived) -> String {
    let documents = unpack(arrived.package()).unwrap();
    let cda = String::from_utf8(documents[0].bytes.clone()).unwrap();
    cda.split_once("<id root=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
}

fn metadata(arrived: &Arrived) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(arrived.package())).unwrap();
    let mut text = String::new();
    archive.by_name("IHE_XDM/SUBSET01/METADATA.XML").unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The ids of the document entries.
fn entries(arrived: &Arrived) -> Vec<String> {
    let metadata = metadata(arrived);
    let entry = |rest: &str| rest.split_once('"').unwrap().0.to_owned();
    metadata.split("<rim:ExtrinsicObject id=\"").skip(1).map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_nobody_knows_in_an_organizations_file_applies_nothing() {
    let installation = installation("pdf = \"beside\"").await;
    let file = installation.dir.path().join("north.toml");
    let good = fs::read_to_string(&file).unwrap();
    for (bad, said) in [
        ("packaging = \"zip\"", "attachment"),
        ("packages = \"xdm\"", "packages"),
        ("[[message.domain]]\ndomain = \"direct.emr.example\"", "says nothing"),
        ("[[message.domain]]\ndomain = \"pcp@direct.emr.example\"\npdf = \"inside\"", "is not a domain"),
    ] {
        fs::write(&file, format!("{good}{bad}\n")).unwrap();
        let ran = crate::support::command::postern(installation.dir.path(), &["org", "apply", "north.toml"]);
        assert!(ran.code != 0 && ran.err.contains(said), "{bad}: {} {}", ran.code, ran.err);
    }
    fs::write(&file, &good).unwrap();
    assert!(installation.postern(&["org", "apply", "north.toml"]).is_empty(), "nothing has changed");
}
