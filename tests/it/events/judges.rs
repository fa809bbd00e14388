//! What others make of our signatures: the examples of the guide, run as they stand, and an implementation by somebody else
//! where it is installed.

use std::{fs, process::Command, time::Duration};

use postern::{
    domain::{Clock as _, Timestamp},
    net::{address::Guard, fetch::Fetcher},
    observe::SystemClock,
    track::webhook::{Answer, Post, SigningSecret, post, rules},
};

use super::receiver::{Mood, Receiver, Request};

const BODY: &str = r#"{"type":"delivery.accepted","data":{"order_id":"PLC700881 é"}}"#;

/// A signed request as it comes over the wire, with two secrets in force; the older one.
async fn signed(at: Timestamp) -> (Request, SigningSecret) {
    let receiver = Receiver::start(Mood::Says(204)).await;
    let guard = Guard::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    let fetcher = Fetcher::new(rules(guard, true, Duration::from_secs(2))).unwrap();
    let secrets = [SigningSecret::generate().unwrap(), SigningSecret::generate().unwrap()];
    let it =
        Post { url: &receiver.url, id: "019ac4c2-7f0e-7a51-9d7e-3f1f6e0b21c4", at, body: BODY.as_bytes(), secrets: &secrets };
    assert_eq!(post(&fetcher, it).await, Answer::Taken);
    (receiver.got().remove(0), secrets[1].clone())
}

/// The example of the guide that stands behind this mark.
fn example(mark: &str) -> String {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/integrating.md")).unwrap();
    let (_, behind) = guide.split_once(&format!("<!-- {mark} -->\n```")).unwrap();
    let (_, code) = behind.split_once('\n').unwrap();
    code.split_once("\n```").unwrap().0.to_owned()
}

/// Whether the shell of the guide believes it.
fn shell_believes(request: &Request, secret: &SigningSecret) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let body = dir.path().join("body");
    fs::write(&body, &request.body).unwrap();
    let done = Command::new("sh")
        .args(["-c", &example("verify.sh")])
        .env("SECRET", &*secret.reveal())
        .env("ID", request.header("webhook-id"))
        .env("TIMESTAMP", request.header("webhook-timestamp"))
        .env("SIGNATURE", request.header("webhook-signature"))
        .env("BODY", &body)
        .output()
        .unwrap();
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    done.status.success()
}

/// What a Python program prints that has `verify` of the guide, or the library by somebody else, before it.
fn python(before: &str, request: &Request, secret: &SigningSecret) -> String {
    let facts = serde_json::json!({ "secret": &*secret.reveal(), "body": request.body, "headers": {
        "webhook-id": request.header("webhook-id"), "webhook-timestamp": request.header("webhook-timestamp"),
        "webhook-signature": request.header("webhook-signature") } });
    let program = format!(
        "import json, os\n{before}\nfacts = json.loads(os.environ['FACTS'])\nprint(verify(facts['secret'], facts['headers'], facts['body'].encode()))"
    );
    let done = Command::new("python3").args(["-c", &program]).env("FACTS", facts.to_string()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test]
async fn the_examples_of_the_guide_believe_what_we_sign_and_nothing_else() {
    let (request, secret) = signed(SystemClock.now()).await;
    let guide = example("verify.py");
    assert!(shell_believes(&request, &secret));
    assert_eq!(python(&guide, &request, &secret), "True");

    let changed = Request { body: request.body.replace("accepted", "refused"), ..request.clone() };
    let (old, old_secret) = signed(SystemClock.now().minus(Duration::from_mins(6))).await;
    let another = SigningSecret::generate().unwrap();
    for (request, secret) in [(&changed, &secret), (&old, &old_secret), (&request, &another)] {
        assert!(!shell_believes(request, secret));
        assert_eq!(python(&guide, request, secret), "False");
    }
}

/// The library that the authors of the standard publish for Python, where `POSTERN_STANDARDWEBHOOKS` says that it lies.
#[tokio::test]
async fn a_library_by_somebody_else_believes_what_we_sign() {
    let Ok(place) = std::env::var("POSTERN_STANDARDWEBHOOKS") else { return };
    let library = format!(
        "import sys; sys.path.insert(0, {place:?})\nfrom standardwebhooks import Webhook\n\
         def verify(secret, headers, body):\n    try:\n        Webhook(secret).verify(body, headers)\n        return True\n    \
         except Exception as error:\n        return repr(error)"
    );
    let (request, secret) = signed(SystemClock.now()).await;
    assert_eq!(python(&library, &request, &secret), "True");
    let changed = Request { body: request.body.replace("accepted", "refused"), ..request };
    assert!(python(&library, &changed, &secret).contains("WebhookVerificationError"));
}
