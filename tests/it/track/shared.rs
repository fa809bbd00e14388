//! Mail for an address of the installation itself, which several organizations send from.

use postern::{
    domain::{OrgId, OrgScope, id::InboundId, inbound::Channel, organization::SendMode},
    store::{inbound::Kept, trust::AnchorKind},
};

use super::{
    letters::{answers, letter, written},
    world::{DOMAIN, Tracking},
};
use crate::store::{make, world::World};

const STA: SendMode = SendMode::StaRelay;

/// Another organization that has no address of its own either.
async fn neighbour(t: &Tracking<'_>) -> OrgId {
    let south = t.world.store.apply_organization(&make::organization("south"), &[]).await.unwrap();
    let anchor = t.practice.anchor();
    t.world.store.import_anchor(south, AnchorKind::Anchor, anchor.der(), "anchor", anchor.valid_until()).await.unwrap();
    south
}

on_both_engines! {
    async fn notices_for_the_installations_address_are_kept_once_and_count_for_whose_message_they_name(world: &World) {
        let t = Tracking::borrowing(world, STA).await;
        neighbour(&t).await;
        let (id, failed) = (t.send("A1", "pcp").await, t.send("A2", "failed").await);
        let notices = t.written(3).await;
        for raw in &notices {
            t.take(t.mail(raw.clone())).await;
        }
        assert_eq!(t.stands(id).await, "accepted dispatched - charged");
        assert_eq!(t.stands(failed).await, "accepted failed remote_failed charged");
        assert!(matches!(world.store.keep_inbound(&t.mail(notices[0].clone())).await.unwrap(), Kept::Known(_)));
        assert_eq!(world.texts("SELECT verdict || ' ' || COALESCE(org_id, 'installation') FROM inbound").await, ["notice installation"; 3]);
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM notice WHERE org_id <> '{}'", t.org)).await, 0);
        t.ties().await;
    }

    async fn a_letter_is_for_whose_message_it_answers_or_for_nobody_and_no_neighbour_reads_it(world: &World) {
        let t = Tracking::borrowing(world, STA).await;
        let south = neighbour(&t).await;
        let id = t.send("A1", "pcp").await;
        t.bring(2).await;
        written(&t, letter(&t, "l1", "", t.practice.domain(DOMAIN).unwrap()).await).await;
        written(&t, letter(&t, "l2", "In-Reply-To: <someone@else.example>\r\n", t.practice.domain(DOMAIN).unwrap()).await).await;
        assert!(world.store.letters(OrgScope::All, 10).await.unwrap().is_empty(), "they answer nothing of ours");
        let ours = world.column(id, "message_id").await;
        // Signed by a stranger: what it names is true, and it is not believed.
        let stranger = postern::sandbox::practice::Practice::stranger(&format!("pcp@{DOMAIN}").parse().unwrap(), &*world.clock).unwrap();
        written(&t, letter(&t, "l3", &format!("In-Reply-To: {ours}\r\n"), stranger).await).await;
        assert!(world.store.letters(OrgScope::All, 10).await.unwrap().is_empty(), "nobody trusts its signer");
        let unreadable = format!("From: pcp@{DOMAIN}\r\nTo: results@direct.lab.example\r\nIn-Reply-To: {ours}\r\n\r\nin the clear\r\n");
        written(&t, unreadable.into_bytes()).await;
        written(&t, letter(&t, "l4", &format!("In-Reply-To: {ours}\r\n"), t.practice.domain(DOMAIN).unwrap()).await).await;
        let kept = world.store.letters(OrgScope::All, 10).await.unwrap();
        assert_eq!((kept.len(), kept[0].answers, kept[0].org), (1, Some(id), t.org));
        assert!(world.store.letters(OrgScope::One(south), 10).await.unwrap().is_empty());
        assert!(String::from_utf8_lossy(&world.store.open_letter(t.org, kept[0].id).await.unwrap()).contains("The patient was seen."));
        let verdicts = world.texts("SELECT verdict FROM inbound WHERE verdict <> 'notice' ORDER BY id").await;
        assert_eq!(verdicts, ["nobody", "nobody", "rejected", "rejected", "letter"]);
        assert_eq!(answers(&t).await, [format!("processed <l4@{DOMAIN}> false")], "from the installation's address, to the one who may know");
        t.ties().await;
    }

    async fn in_edge_mode_its_own_mailbox_vouches_and_an_address_that_is_gone_is_nobodys(world: &World) {
        let t = Tracking::borrowing(world, SendMode::Edge).await;
        neighbour(&t).await;
        let id = t.send("A1", "pcp").await;
        let raw = t.written(1).await.remove(0);
        let mut anybody = t.mail(raw.clone());
        anybody.channel = Channel::None;
        t.take(anybody).await;
        assert_eq!(world.column(id, "disposition").await, "awaited");
        let again = [&b"X-Again: yes\r\n"[..], &raw].concat();
        t.take(t.mail(again)).await;
        assert_eq!(world.column(id, "disposition").await, "processed");
        let mut gone = t.mail(raw);
        (gone.id, gone.identity) = (InboundId::new(), "former@direct.lab.example".parse().unwrap());
        t.take(gone).await;
        assert_eq!(world.texts("SELECT verdict FROM inbound ORDER BY id").await, ["notice", "notice", "nobody"]);
        t.ties().await;
    }
}
