//! What holds for every case, whatever it is.

use proptest::prelude::*;

use super::scenarios::{Desk, OTHER, PCP, configured, entry, to};
use super::*;
use crate::domain::{
    Timestamp,
    choice::{Corrections, Decided, Experience, Named, Pin, Suppressed},
    id::{RosterId, SnapshotId},
    order::Role,
    organization::{Conflict, When},
    roster::{Attribution, Says},
    route::{IntendedRecipient, Rule},
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

fn decided() -> Decided {
    Decided { by: "ana".into(), why: "asked".into(), at: Timestamp(0) }
}

fn says() -> impl Strategy<Value = Says> {
    let npi = |text: &str| -> Npi { text.parse().unwrap() };
    prop_oneof![
        4 => prop::sample::select(vec![PCP, OTHER]).prop_map(move |text| Says::Pcp(npi(text))),
        1 => Just(Says::NoMember),
        1 => Just(Says::Nobody),
        1 => Just(Says::Overlap(vec![npi(PCP), npi(OTHER)])),
        1 => Just(Says::OtherPerson),
    ]
}

prop_compose! {
    fn known_before()(
        pins in prop::collection::vec((prop::sample::select(vec![PCP, OTHER]), address()), 0..2),
        suppressed in prop::collection::vec(prop::sample::select(vec!["a@d.example", "e.example", OTHER]), 0..2),
        named in prop::option::weighted(0.2, (prop::sample::select(vec!["deliver_to[0]", "roster", ""]), prop::option::of(address()))),
        served in prop::option::weighted(0.2, (prop::sample::select(vec![PCP, OTHER]), address())),
        experience in prop::collection::vec((address(), prop::option::of(0..3_i64), 0..4_u32, any::<bool>()), 0..3),
        says in prop::option::of(says()),
    ) -> Known {
        let pin = |(npi, address): (&str, &str)| {
            let npi: Npi = npi.parse().unwrap();
            (npi.clone(), Pin { npi, address: address.parse().unwrap(), decided: decided() })
        };
        let went = |(address, at, failures, lost): (&str, Option<i64>, u32, bool)| {
            let unsealable = lost.then_some((Timestamp(0), Reason::NoCert));
            (address.to_lowercase(), Experience { last_success: at.map(Timestamp), failures, unsealable })
        };
        Known {
            at: Timestamp(10),
            pins: pins.into_iter().map(pin).collect(),
            suppressed: suppressed.into_iter().map(|what| what.parse::<Suppressed>().unwrap()).collect(),
            named: named.into_iter().map(|(origin, address): (&str, Option<&str>)| {
                Named { origin: origin.into(), address: address.map(|a| a.parse().unwrap()), decided: decided() }
            }).collect(),
            served: served.into_iter().map(|(npi, address): (&str, &str)| Target {
                address: address.parse().unwrap(),
                rule: Rule::Directory,
                recipient: Some(IntendedRecipient { npi: Some(npi.parse().unwrap()), ..IntendedRecipient::default() }),
                own_site: false,
            }).collect(),
            experience: experience.into_iter().map(went).collect(),
            attribution: says.map(|says| Attribution { roster: RosterId(uuid::Uuid::nil()), day: "2026-01-01".parse().unwrap(), says }),
        }
    }
}

prop_compose! {
    fn desk()(
        deliver_to in prop::collection::vec(recipient(), 0..4),
        (site, org) in (targets(), targets()),
        earlier in prop::collection::vec(address(), 0..3),
        (one, two) in (prop::option::of(answer(PCP)), prop::option::of(answer(OTHER))),
        known in prop_oneof![1 => Just(Known::default()), 2 => known_before()],
        (corrections, always) in (prop::sample::select(Corrections::ALL), any::<bool>()),
        allowed in prop::option::weighted(0.2, Just("d.example".to_owned())),
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
        desk.known = known;
        desk.choice.corrections = corrections;
        desk.choice.allowed_domains = allowed.into_iter().collect();
        desk.roster.when = if always { When::Always } else { When::OnlyIfNone };
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
    let earlier = desk.earlier.iter().chain(&desk.known.served).map(|t| &t.address);
    let people = desk.known.named.iter().filter_map(|n| n.address.as_ref()).chain(desk.known.pins.values().map(|p| &p.address));
    let configured = configured.chain(people);
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
    fn what_is_suppressed_or_outside_the_allowed_domains_is_never_a_target(desk in desk()) {
        for target in desk.route().targets {
            prop_assert!(!desk.known.suppressed.iter().any(|what| what.covers(&target.address)), "{}", target.address);
            let allowed = &desk.choice.allowed_domains;
            prop_assert!(allowed.is_empty() || in_domains(&target.address, allowed));
        }
    }

    #[test]
    fn where_an_npi_was_served_by_the_directory_it_is_served_nowhere_else_by_it(desk in desk()) {
        for served in &desk.known.served {
            let npi = served.recipient.as_ref().and_then(|who| who.npi.as_ref());
            let names_both = desk.order.deliver_to.iter().any(|r| r.direct.as_ref().and_then(|d| d.valid()).is_some());
            for target in desk.route().targets.iter().filter(|t| matches!(t.rule, Rule::Directory | Rule::Roster)) {
                let same = target.recipient.as_ref().and_then(|who| who.npi.as_ref()) == npi;
                prop_assert!(!same || names_both || target.address == served.address, "{target:?}");
            }
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
        desk.known.suppressed.clear();
        desk.choice.corrections = Corrections::Everyone;
        desk.choice.allowed_domains.clear();
        let route = desk.route();
        for target in &desk.earlier {
            let allowed = (desk.mode == Mode::Test) == (target.address.domain_key() == "sandbox.example");
            prop_assert_eq!(route.targets.iter().any(|t| t.address == target.address), allowed);
        }
    }
}
