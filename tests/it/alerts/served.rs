//! The whole gateway tells somebody through a real mail server, and counts what is open.

use std::time::Duration;

use crate::support::{
    installation::{Arrangement, Installation},
    postfix::{PASSWORD, Postfix, STA_USER},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_serves_mails_its_operators_and_shows_the_alert_among_its_metrics() {
    let postfix = Postfix::start(&["ops"]);
    let more = format!(
        "[alerts]\nname = \"lab\"\nto = [\"ops@clinic.example\"]\nfrom = \"postern@clinic.example\"\nrelay = \"office\"\nevery = \"1s\"\n\
         opens_after = \"1s\"\nresolves_after = \"1s\"\ngap = \"1s\"\ndisk_percent = 0\n\
         [[folder]]\norganization = \"north\"\npath = \"not-there\"\n\
         [[relay]]\nname = \"office\"\nhost = \"localhost\"\nport = {}\nca_file = {:?}\nauth = {{ user = \"{STA_USER}\", password = \"{PASSWORD}\" }}\n",
        postfix.doors.relay, postfix.ca
    );
    let installation = Installation::arranged(Arrangement { more: &more, ..Arrangement::default() }).await;
    let mut serving = installation.serve(None, None);
    let mail = postfix.delivered("ops").await;
    for part in
        ["From: <postern@clinic.example>", "Subject: [lab] 1 new", "a source cannot be read", "not-there", "postern alerts ack"]
    {
        assert!(mail.contains(part), "{part} in {mail}");
    }
    let open = async || {
        let page = reqwest::get(format!("{}/metrics", serving.url)).await.unwrap().text().await.unwrap();
        let line = page.lines().find(|line| line.starts_with("postern_alerts_open{kind=\"source_unavailable\"}"));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, count)| count.to_owned())
    };
    assert_eq!(open().await.as_deref(), Some("1"));
    std::fs::create_dir(installation.dir.path().join("not-there")).unwrap();
    let began = std::time::Instant::now();
    while open().await.as_deref() != Some("0") {
        assert!(began.elapsed() < Duration::from_secs(90), "it is never over:\n{}", installation.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    serving.terminate();
    assert!(serving.end().success());
}
