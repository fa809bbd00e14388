//! A fee is corrected in the console: seen first, written once, on record, and never in another's ledger.

use std::{collections::BTreeSet, time::Duration};

use postern::domain::{
    delivery::Event as E,
    person::{Reach, Role},
};

use super::world::World;
use crate::store::billing::close;

/// The amounts of the ledger, line by line.
async fn ledger(world: &World) -> Vec<String> {
    world.database.texts("SELECT seq || ' ' || entry_type || ' ' || amount || ' ' || period FROM ledger_line ORDER BY seq").await
}

shown! {
    async fn a_fee_is_corrected_once_and_only_after_one_has_seen_what_would_be_written(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        world.database.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let biller = world.person("mo@lab.example", Role::Billing, Reach::of(BTreeSet::from([org]))).await;
        let mut browser = world.signed_in(biller).await;
        let list = browser.get("/fees/north/2026-03/lines").await;
        let line = world.database.texts("SELECT id FROM ledger_line").await.remove(0);
        let here = format!("/fees/north/2026-03/lines/{line}");
        assert!(list.body.contains(&here), "{}", list.body);
        let page = browser.get(&here).await;
        assert!(page.status == 200 && page.body.contains("Correct it") && page.body.contains("0.25 USD"), "{}", page.body);
        let correct = format!("{here}/correct");
        for (fields, status) in [
            (&[("amount", "much"), ("reason", "x")][..], 422),
            (&[("amount", ""), ("reason", "x")][..], 422),
            (&[("amount", "0.10"), ("reason", "")][..], 422),
            (&[("amount", "0.10"), ("reason", "two\nlines")][..], 422),
            (&[("amount", "0.25"), ("reason", "x")][..], 409),
        ] {
            let seen = browser.send(&page, &correct, &[fields, &[("sure", "yes")]].concat()).await;
            assert!(seen.status == status && seen.body.contains("Nothing was written."), "{fields:?}: {} {}", seen.status, seen.body);
        }
        let said = [("what", "amount"), ("amount", "0.10"), ("reason", "agreed with the client")];
        let before = world.actions().await.len();
        let shown = browser.send(&page, &correct, &said).await;
        for words in ["takes line 1 back", "-0.25", "entered again", "0.10", "changes by -0.15 USD", "agreed with the client", "Nothing has happened yet"] {
            assert!(shown.status == 200 && shown.body.contains(words), "{words}: {}", shown.body);
        }
        assert_eq!((ledger(world).await.len(), world.actions().await.len()), (1, before), "it was only looked at");
        let sure = [&said[..], &[("sure", "yes")]].concat();
        for press in 0..2 {
            let done = browser.send(&shown, &correct, &sure).await;
            assert_eq!((done.status, done.location.as_str()), (303, format!("{here}?done=corrected").as_str()), "{press}: {}", done.body);
            let lines = ["1 charge 250000 2026-03", "2 adjustment -250000 2026-03", "3 adjustment 100000 2026-03"];
            assert_eq!(ledger(world).await, lines, "{press}");
        }
        assert_eq!(world.actions().await[before..], ["setting_changed"], "on record once, with what was written");
        let other = browser.send(&shown, &correct, &[("what", "back"), ("reason", "another reason"), ("sure", "yes")]).await;
        assert!(other.status == 409 && other.body.contains("taken back before"), "{}", other.body);
        let after = browser.get(&format!("{here}?done=corrected")).await;
        assert!(after.body.contains("Taken back by line 2") && after.body.contains("Entered again as line 3, at 0.10 USD") && !after.body.contains("Show what would be written"), "{}", after.body);
        assert!(after.body.contains("Corrected: the line was taken back"), "{}", after.body);

        // A month that is closed stays as it is.
        world.database.pass(Duration::from_hours(24 * 40)).await;
        assert!(close(&world.database, org, "2026-03", true).await.unwrap().closed);
        let mut browser = world.signed_in(biller).await;
        let third = world.database.texts("SELECT id FROM ledger_line WHERE seq = 3").await.remove(0);
        let here = format!("/fees/north/2026-03/lines/{third}");
        let page = browser.get(&here).await;
        let back = [("what", "back"), ("reason", "the test was ours")];
        let shown = browser.send(&page, &format!("{here}/correct"), &back).await;
        assert!(shown.status == 200 && shown.body.contains("belongs to 2026-03"), "{}", shown.body);
        let done = browser.send(&shown, &format!("{here}/correct"), &[&back[..], &[("sure", "yes")]].concat()).await;
        assert_eq!(done.status, 303, "{}", done.body);
        let last = ledger(world).await.pop().unwrap();
        assert!(last.contains(" adjustment -100000 2026-0") && !last.ends_with("2026-03"), "{last}");
    }

    async fn nobody_corrects_in_another_ledger_or_without_the_right(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let id = world.database.queued(north, "A1").await;
        world.database.lead(north, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let line = world.database.texts("SELECT id FROM ledger_line").await.remove(0);
        let here = format!("/fees/north/2026-03/lines/{line}");
        let fields = [("what", "back"), ("reason", "x"), ("sure", "yes")];
        let other = world.person("mo@south.example", Role::Billing, Reach::of(BTreeSet::from([south]))).await;
        let mut browser = world.signed_in(other).await;
        let mark = browser.get("/account").await;
        for path in [here.clone(), here.replace("north", "south")] {
            assert_eq!(browser.get(&path).await.status, 404, "{path}");
            assert_eq!(browser.send(&mark, &format!("{path}/correct"), &fields).await.status, 404, "{path}");
        }
        let auditor = world.person("eve@lab.example", Role::Auditor, Reach::Installation).await;
        let mut browser = world.signed_in(auditor).await;
        let page = browser.get(&here).await;
        assert!(page.status == 200 && !page.body.contains("Correct it"), "{}", page.body);
        assert_eq!(browser.send(&page, &format!("{here}/correct"), &fields).await.status, 403);
        assert_eq!(ledger(world).await.len(), 1);
    }
}
