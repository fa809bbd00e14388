//! What holds for every case, whatever it is.

use proptest::prelude::*;

use super::scenarios::{Desk, OTHER, PCP, configured, entry, to};
use super::*;
use crate::domain::{
    id::SnapshotId,
    order::Role,
    organization::{Conflict, When},
};

/// Few enough addresses that they meet: spellings that differ in case, a test domain, one that is none.
fn address() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a@d.example", "A@D.example", "b@d.example", "c@e.example", "t@sandbox.example"])
}

fn answer(npi: &'static str) -> impl Strategy<Value = DirectoryAnswer> {
    let npi: Npi = npi.parse().unwrap();
    let found = (address(), prop::sample::select(vec!["", "Alpha", "Beta"]), any::<bool>(), prop::option::of(0..3_i64));
    let found = found.prop_map(move |(address, organization, pinned, last_success)| DirectoryEntry {
        pinned,
        last_success,
        ..entry(&npi, address, organization)
    });
    prop_oneof![
        4 => prop::collection::vec(found, 0..4)
            .prop_map(|entries| DirectoryAnswer::Found { entries, unavailable: Vec::new() }),
        1 => Just(DirectoryAnswer::NotFound(SnapshotId::default())),
        1 => Just(DirectoryAnswer::NotConfigured),
        1 => Just(DirectoryAnswer::Unavailable { why: "it is down".into() }),
    ]
}

prop_compose! {
    fn recipient()(
        direct in prop::option::of(prop_oneof![4 => address(), 1 => Just("not an address")]),
        npi in prop::option::of(prop::sample::select(vec![PCP, OTHER, "1234567890"])),
        pcp in any::<bool>(),
    ) -> crate::domain::order::Recipient {
        let mut recipient = to(direct, npi);
        if !pcp {
            recipient.role = Role::Ordering;
        }
        recipient
    }
}

fn targets() -> impl Strategy<Value = Vec<ConfiguredTarget>> {
    prop::collection::vec((address(), prop::sample::select(When::ALL)), 0..3)
        .prop_map(|all| all.into_iter().map(|(address, when)| configured(address, when)).collect())
}

prop_compose! {
    fn desk()(
        deliver_to in prop::collection::vec(recipient(), 0..4),
        (site, org) in (targets(), targets()),
        earlier in prop::collection::vec(address(), 0..3),
        (one, two) in (prop::option::of(answer(PCP)), prop::option::of(answer(OTHER))),
        mode in prop::sample::select(Mode::ALL),
        status in prop::sample::select(ResultStatus::ALL),
        conflict in prop::sample::select(Conflict::ALL),
        (pcp_delivery, send_preliminary, do_not_deliver, wait_over) in
            (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), any::<bool>()),
    ) -> Desk {
        let mut desk = Desk::new(deliver_to);
        desk.order.do_not_deliver = do_not_deliver;
        (desk.site, desk.org, desk.mode, desk.wait_over) = (site, org, mode, wait_over);
        desk.report.status = status;
        desk.rules = RoutingRules { conflict, pcp_delivery, send_preliminary, ..RoutingRules::default() };
        desk.earlier = earlier
            .into_iter()
            .map(|a| Target { address: a.parse().unwrap(), rule: Rule::Directory, recipient: None, own_site: false })
            .collect();
        desk.answers = [(PCP, one), (OTHER, two)]
            .into_iter()
            .filter_map(|(npi, answer)| Some((npi.parse().unwrap(), answer?)))
            .collect();
        desk
    }
}

/// Every address the case knows of, by key.
fn known(desk: &Desk) -> Vec<String> {
    let order = desk.order.deliver_to.iter().filter_map(|r| r.direct.as_ref()?.valid());
    let answers = desk.answers.values().flat_map(|answer| match answer {
        DirectoryAnswer::Found { entries, .. } => entries.iter().map(|e| &e.address).collect(),
        _ => vec![],
    });
    let configured = desk.site.iter().chain(&desk.org).map(|t| &t.direct);
    let earlier = desk.earlier.iter().map(|t| &t.address);
    order.chain(answers).chain(configured).chain(earlier).map(DirectAddress::key).collect()
}

proptest! {
    #[test]
    fn the_same_case_has_the_same_route_whatever_the_order_of_the_directorys_answer(desk in desk()) {
        let first = desk.route();
        prop_assert_eq!(&first, &desk.route());
        let mut turned = desk;
        for answer in turned.answers.values_mut() {
            if let DirectoryAnswer::Found { entries, .. } = answer {
                entries.reverse();
            }
        }
        prop_assert_eq!(first.targets, turned.route().targets);
    }

    #[test]
    fn no_target_is_named_twice_and_none_is_invented(desk in desk()) {
        let (route, known) = (desk.route(), known(&desk));
        let keys: Vec<String> = route.targets.iter().map(|t| t.address.key()).collect();
        for (i, key) in keys.iter().enumerate() {
            prop_assert!(!keys[..i].contains(key), "{key} twice");
            prop_assert!(known.contains(key), "{key} invented");
        }
    }

    #[test]
    fn every_route_explains_itself(desk in desk()) {
        let route = desk.route();
        let taken: Vec<&DirectAddress> =
            route.trace.iter().filter(|l| l.verdict == Verdict::Taken).filter_map(|l| l.address.as_ref()).collect();
        prop_assert_eq!(taken, route.targets.iter().map(|t| &t.address).collect::<Vec<_>>());
        prop_assert_eq!(route.targets.is_empty(), route.decision != Decision::Routed);
        for line in &route.trace {
            prop_assert!(!line.note.is_empty() && !line.origin.is_empty());
            prop_assert!(line.verdict != Verdict::Held || line.reason.is_some());
        }
        for i in 0..desk.order.deliver_to.len() {
            let origin = format!("deliver_to[{i}]");
            prop_assert!(route.trace.iter().any(|line| line.origin == origin), "{origin} is not explained");
        }
    }

    #[test]
    fn test_and_production_never_mix(desk in desk()) {
        for target in desk.route().targets {
            prop_assert_eq!(desk.mode == Mode::Test, target.address.domain_key() == "sandbox.example");
        }
    }

    #[test]
    fn once_the_wait_is_over_nothing_waits(mut desk in desk()) {
        desk.wait_over = true;
        prop_assert!(!matches!(desk.route().decision, Decision::Waiting(_)));
    }

    #[test]
    fn a_correction_reaches_everyone_the_mode_allows_who_got_the_wrong_version(mut desk in desk()) {
        desk.report.status = ResultStatus::Corrected;
        desk.order.do_not_deliver = false;
        desk.wait_over = true;
        let route = desk.route();
        for target in &desk.earlier {
            let allowed = (desk.mode == Mode::Test) == (target.address.domain_key() == "sandbox.example");
            prop_assert_eq!(route.targets.iter().any(|t| t.address == target.address), allowed);
        }
    }
}
