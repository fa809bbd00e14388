//! Other mail: a clinician's reply is opened, kept and answered; what is not trusted meets silence.

use std::time::Duration;

use postern::{
    domain::{
        Clock as _, DirectAddress, Inbound, OrgScope, Timestamp,
        id::InboundId,
        inbound::{Channel, Verdict, Way},
        organization::SendMode,
    },
    sandbox::practice::Practice,
    seal::{Inner, KeySigner, Own, OwnKey, Profile, Seal, Sealer},
    store::{
        inbound::Settlement,
        letter::NewLetter,
        organization::NewIdentity,
        trust::{AnchorKind, AnchorUse},
    },
    track::Notice,
    trust::{Certificate, RecipientCertificate},
};

use super::world::{DOMAIN, Tracking, US};
use crate::{
    store::{make, world::World},
    support::{
        command::{command, run},
        installation::Installation,
    },
};

const STA: SendMode = SendMode::StaRelay;

/// A letter from `pcp@DOMAIN` with these further headers, sealed to us by `own`.
pub(super) async fn letter(t: &Tracking<'_>, id: &str, headers: &str, own: Own) -> Vec<u8> {
    let text = format!(
        "Date: Mon, 02 Mar 2026 15:00:00 +0000\r\nFrom: pcp@{DOMAIN}\r\nTo: {US}\r\nMessage-ID: <{id}@{DOMAIN}>\r\n{headers}Subject: About Testriver\r\n\r\nThe patient was seen.\r\n"
    );
    let us: DirectAddress = US.parse().unwrap();
    let organization = t.world.store.organization(t.org).await.unwrap().unwrap();
    let ours = [organization.identities, t.gateway.post.identities()].concat().remove(0).certificate.unwrap();
    let certificate = Certificate::read_all(ours.as_bytes()).unwrap().remove(0);
    let at = t.world.clock.now();
    let OwnKey::Memory(key) = own.key else { panic!("the practice keys are in memory") };
    let signer = KeySigner::new(own.certificate, vec![], key).unwrap();
    let with = Seal {
        signer: &signer,
        recipient: &RecipientCertificate::checked(certificate, &us, at).unwrap(),
        profile: Profile::default(),
        at,
    };
    let mut sealed = Vec::new();
    Sealer::new().seal_inner(&Inner::parse(text.as_bytes()).unwrap(), with, &mut sealed).unwrap();
    sealed
}

/// A certificate for `pcp@DOMAIN` of an authority that nobody knows.
fn stranger(t: &Tracking<'_>) -> Own {
    Practice::stranger(&format!("pcp@{DOMAIN}").parse().unwrap(), &*t.world.clock).unwrap()
}

/// What a door brings when a person writes.
pub(super) async fn written(t: &Tracking<'_>, raw: Vec<u8>) {
    let mut mail = t.mail(raw);
    mail.envelope_from = Some(format!("pcp@{DOMAIN}").parse().unwrap());
    t.take(mail).await;
}

/// The notices that have reached `pcp@DOMAIN`, opened: `stated extension`.
pub(super) async fn answers(t: &Tracking<'_>) -> Vec<String> {
    while t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap() > 0 {}
    let pcp = format!("pcp@{DOMAIN}").parse().unwrap();
    let mut said = Vec::new();
    for entry in t.mailboxes.list(Some(&pcp)).unwrap() {
        assert!(entry.opened, "signed and encrypted: {:?}", entry.problem);
        let inner = t.mailboxes.inner(&entry).unwrap();
        if let Some(notice) = Notice::read(&inner) {
            let about = &notice.about[0];
            assert_eq!(about.recipients[0], US);
            said.push(format!("{} {} {}", about.stated, about.message_ids[0], about.final_delivery));
        }
    }
    said
}

on_both_engines! {
    async fn mt_21_39_a_letter_that_asks_well_is_answered_with_processed_and_dispatched(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "pcp").await;
        let ours = world.column(id, "message_id").await;
        let headers = format!("In-Reply-To: {ours}\r\nDisposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n");
        written(&t, letter(&t, "l1", &headers, t.practice.domain(DOMAIN).unwrap()).await).await;
        let kept = world.store.letters(OrgScope::All, 10).await.unwrap();
        assert_eq!((kept.len(), kept[0].answers, kept[0].sender.as_str()), (1, Some(id), "pcp@direct.example.org"));
        let content = world.store.open_letter(t.org, kept[0].id).await.unwrap();
        assert!(String::from_utf8_lossy(&content).contains("The patient was seen."));
        let said = answers(&t).await;
        assert_eq!(said, [format!("processed <l1@{DOMAIN}> false"), format!("dispatched <l1@{DOMAIN}> true")]);
        assert_eq!(world.number("SELECT COUNT(*) FROM ledger_line").await, 1, "what we owe costs nobody a fee");
        assert_eq!(answers(&t).await.len(), 2, "once");
    }

    async fn mt_40_one_that_asks_badly_is_answered_with_processed_alone(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let headers = "Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=yes\r\n";
        written(&t, letter(&t, "l1", headers, t.practice.domain(DOMAIN).unwrap()).await).await;
        assert_eq!(answers(&t).await, [format!("processed <l1@{DOMAIN}> false")]);
    }

    async fn where_an_address_serves_two_customers_a_letter_is_for_whom_it_answers_or_for_nobody(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "pcp").await;
        let ours = world.column(id, "message_id").await;
        let shared = NewIdentity { address: US.parse().unwrap(), mode: STA, relay: Some("hisp".into()), certificate: None, secret: None };
        world.store.apply_organization(&make::organization("south"), &[shared]).await.unwrap();
        written(&t, letter(&t, "l1", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        assert!(world.store.letters(OrgScope::All, 10).await.unwrap().is_empty(), "it answers nothing of theirs");
        assert!(answers(&t).await.is_empty());
        written(&t, letter(&t, "l2", &format!("In-Reply-To: {ours}\r\n"), t.practice.domain(DOMAIN).unwrap()).await).await;
        let kept = world.store.letters(OrgScope::All, 10).await.unwrap();
        assert_eq!((kept.len(), kept[0].answers), (1, Some(id)));
    }

    async fn whom_we_only_send_to_may_say_what_arrived_and_nothing_else(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let anchor = t.practice.anchor();
        let believe = async |direction| {
            let (der, until) = (anchor.der(), anchor.valid_until());
            world.store.import_anchor_for(t.org, AnchorKind::Anchor, direction, der, "anchor", until).await.unwrap();
            // What was believed a moment ago is forgotten.
            world.pass(Duration::from_mins(1)).await;
        };
        believe(AnchorUse::Send).await;
        let id = t.send("A1", "pcp").await;
        t.bring(2).await;
        assert_eq!(t.stands(id).await, "accepted dispatched - charged");
        written(&t, letter(&t, "l1", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        assert_eq!(world.texts("SELECT verdict FROM inbound WHERE verdict <> 'notice'").await, ["rejected"]);
        assert!(answers(&t).await.is_empty());
        // Another domain's notice says nothing about this one, and a stranger's nothing at all.
        for (order_id, local) in [("A2", "othersender"), ("A3", "stranger")] {
            let id = t.send(order_id, local).await;
            t.bring(1).await;
            assert_eq!(t.stands(id).await, "accepted awaited - charged", "{local}");
        }

        // The other way round: who may write to us is not whom we may send to.
        believe(AnchorUse::Receive).await;
        let unsent = t.send("A4", "pcp").await;
        assert_eq!((t.stands(unsent).await.as_str(), world.column(unsent, "attempts").await.as_str()), ("queued - - none", "0"));
        written(&t, letter(&t, "l2", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        assert_eq!(world.store.letters(OrgScope::All, 10).await.unwrap().len(), 1);
    }

    async fn what_is_not_trusted_not_readable_or_no_letter_is_met_with_silence(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        written(&t, letter(&t, "l1", "", stranger(&t)).await).await;
        // Signed by a certificate of another domain.
        written(&t, letter(&t, "l2", "", t.practice.domain("direct.elsewhere.example").unwrap()).await).await;
        let mut broken = letter(&t, "l3", "", t.practice.domain(DOMAIN).unwrap()).await;
        let middle = broken.len() / 2;
        broken[middle] = if broken[middle] == b'A' { b'B' } else { b'A' };
        written(&t, broken).await;
        written(&t, format!("From: pcp@{DOMAIN}\r\nTo: {US}\r\n\r\nin the clear\r\n").into_bytes()).await;
        assert!(world.store.letters(OrgScope::All, 10).await.unwrap().is_empty());
        assert_eq!(world.texts("SELECT verdict FROM inbound").await, ["rejected"; 4]);
        assert!(answers(&t).await.is_empty());
        // A machine's letter (null reverse path) is kept and not answered.
        t.take(t.mail(letter(&t, "l4", "", t.practice.domain(DOMAIN).unwrap()).await)).await;
        assert_eq!(world.store.letters(OrgScope::All, 10).await.unwrap().len(), 1);
        assert!(answers(&t).await.is_empty());
    }

    async fn our_notices_leave_with_the_null_reverse_path_and_a_bounce_of_one_is_recorded_and_never_answered(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        written(&t, letter(&t, "l1", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        assert_eq!(answers(&t).await.len(), 1);
        let pcp: DirectAddress = format!("pcp@{DOMAIN}").parse().unwrap();
        let arrived = t.mailboxes.list(Some(&pcp)).unwrap().remove(0);
        assert_eq!(arrived.sender, None, "RFC 8098 3: nobody is to be told when it cannot be delivered");
        assert!(t.notices.list(None).unwrap().is_empty(), "and the other side answers no notice");
        // A server that reports it all the same, to the address in it, in either dress, or that sends the notice itself back.
        let ours = world.texts("SELECT message_id FROM reply").await.remove(0);
        let bounce = |kind: &str, part: &str| format!(
            "From: mailer-daemon@hisp.example\r\nTo: {US}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={kind}; boundary=x\r\n\r\n\
             --x\r\nContent-Type: message/{kind}\r\n\r\n{part}\r\n--x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {ours}\r\n\r\n--x--\r\n"
        );
        let dsn = bounce("delivery-status", &format!("Reporting-MTA: dns; hisp.example\r\n\r\nFinal-Recipient: rfc822; {pcp}\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
        let mdn = bounce("disposition-notification", &format!("Final-Recipient: rfc822; {pcp}\r\nOriginal-Message-ID: {ours}\r\nDisposition: automatic-action/MDN-sent-automatically;failed\r\n"));
        for (sender, raw) in [(None, dsn), (Some(pcp.clone()), mdn), (Some(pcp.clone()), String::from_utf8(t.mailboxes.raw(&arrived).unwrap()).unwrap())] {
            let mut mail = t.mail(raw.into_bytes());
            (mail.channel, mail.envelope_from) = (Channel::Relay("hisp".into()), sender);
            t.take(mail).await;
        }
        assert_eq!(answers(&t).await.len(), 1, "nothing more was said");
        assert_eq!(world.number("SELECT COUNT(*) FROM reply").await, 1);
        assert_eq!(world.texts("SELECT DISTINCT verdict FROM notice").await, ["unknown"]);
    }

    async fn a_letter_that_comes_twice_is_kept_and_answered_once(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        for _ in 0..2 {
            // Sealed anew each time: other octets, the same message.
            written(&t, letter(&t, "l1", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        }
        assert_eq!(world.store.letters(OrgScope::All, 10).await.unwrap().len(), 1);
        assert_eq!(answers(&t).await.len(), 1);
        let hex = world.texts(world.either("SELECT lower(hex(sealed)) FROM letter", "SELECT encode(sealed, 'hex') FROM letter")).await;
        let plain = postern::crypto::Hex(b"Testriver").to_string();
        assert!(!hex[0].contains(&plain), "it can be read in the database");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_lists_what_came_and_shows_its_content_only_to_who_asks_and_is_recorded() {
    let installation = Installation::open("", None).await;
    let store = installation.store().await;
    let org = store.organization_by_slug(OrgScope::All, "north").await.unwrap().unwrap().id;
    let us: DirectAddress = "results@direct.north.example".parse().unwrap();
    let mail = Inbound {
        id: InboundId::new(),
        org: Some(org),
        identity: us.clone(),
        way: Way::Smtp,
        channel: Channel::None,
        envelope_from: None,
        envelope_to: vec![us.clone()],
        received_at: Timestamp(1_772_463_600_000_000),
        raw: b"sealed".to_vec(),
    };
    store.keep_inbound(&mail).await.unwrap();
    let lease = make::lease();
    let claimed = store.claim_inbound(&lease, 1).await.unwrap();
    let letter = NewLetter {
        org,
        settlement: Settlement { id: mail.id, owner: lease.owner, verdict: Verdict::Letter, detail: None },
        identity: us,
        sender: format!("pcp@{DOMAIN}").parse().unwrap(),
        message_id: None,
        answers: None,
        source: "signer ab12".into(),
        inner: b"Subject: About Testriver\r\n\r\nSeen.\r\n".to_vec(),
        received_at: mail.received_at,
        owed: vec![],
    };
    let id = store.take_letter(&letter).await.unwrap().unwrap().to_string();
    drop(claimed);
    store.close().await;
    let list = installation.postern(&["inbox", "list"]);
    assert!(list.contains(&id) && list.contains("pcp@direct.example.org") && !list.contains("Testriver"), "{list}");
    assert!(!installation.postern(&["inbox", "show", &id]).contains("Testriver"));
    assert!(installation.json(&["inbox", "show", &id])["content"].is_null());
    let read = run(command(installation.dir.path()).args(["inbox", "show", &id, "--phi"]));
    assert!(read.code == 0 && read.out.contains("About Testriver"), "{read:?}");
    assert!(read.err.contains("letter_read") && read.err.contains(&id) && !read.err.contains("Testriver"), "{}", read.err);
    let unknown = run(command(installation.dir.path()).args(["inbox", "show", &uuid::Uuid::now_v7().to_string()]));
    assert_eq!(unknown.code, 1, "{unknown:?}");
}
