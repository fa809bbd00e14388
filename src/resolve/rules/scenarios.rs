//! The named scenarios of routing (TR-01 ...), each as a sentence.

use super::*;
use crate::domain::{
    id::SnapshotId,
    order::{CodeSystem, Gender, Patient, PersonName, Priority, Recipient, Role},
    organization::{Conflict, When},
    route::{AffiliatedWith, DirectorySource, Rule},
    text::Stated,
};

pub(super) const PCP: &str = "1234567893";
pub(super) const OTHER: &str = "2000000010";

/// A case that can be changed and asked.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) order: Order,
    pub(super) report: Report,
    pub(super) rules: RoutingRules,
    pub(super) choice: ChoiceRules,
    pub(super) roster: RosterRules,
    pub(super) known: Known,
    pub(super) site: Vec<ConfiguredTarget>,
    pub(super) org: Vec<ConfiguredTarget>,
    pub(super) site_name: Option<&'static str>,
    pub(super) mode: Mode,
    pub(super) test_domains: Vec<String>,
    pub(super) earlier: Vec<Target>,
    pub(super) again: bool,
    pub(super) answers: HashMap<Npi, DirectoryAnswer>,
    pub(super) wait_over: bool,
}

impl Desk {
    pub(super) fn new(deliver_to: Vec<Recipient>) -> Self {
        let patient = Patient {
            local_id: None,
            name: PersonName { family: "Testriver".into(), given: vec!["Morgan".into()], prefix: None, suffix: None },
            birth_date: "1964-02-17".parse().unwrap(),
            gender: Gender::parse("F").unwrap(),
            address: None,
            phone: None,
            marital_status: None,
            race: vec![],
            ethnicity: None,
            language: None,
            code_system: CodeSystem::V3,
        };
        let order = Order {
            order_id: "PLC700881".into(),
            site: "RIVERSIDE01".into(),
            patient,
            ordering_provider: None,
            procedure: None,
            encounter: None,
            exam_state: None,
            scheduled_at: None,
            health_plan: None,
            priority: Priority::Routine,
            do_not_deliver: false,
            deliver_to,
        };
        let report = Report {
            order_id: "PLC700881".into(),
            site: "RIVERSIDE01".into(),
            status: ResultStatus::Final,
            completed_at: None,
            title: None,
            document_code: None,
            author: None,
        };
        Self {
            order,
            report,
            rules: RoutingRules::default(),
            choice: ChoiceRules::default(),
            roster: RosterRules::default(),
            known: Known::default(),
            site: vec![],
            org: vec![],
            site_name: None,
            mode: Mode::Production,
            test_domains: vec!["sandbox.example".into()],
            earlier: vec![],
            again: false,
            answers: HashMap::new(),
            wait_over: false,
        }
    }

    pub(super) fn route(&self) -> Route {
        let affiliations = [Affiliation { npi: None, name: self.site_name }];
        route(&Case {
            order: &self.order,
            report: &self.report,
            rules: &self.rules,
            choice: &self.choice,
            roster: &self.roster,
            known: &self.known,
            site_targets: &self.site,
            org_targets: &self.org,
            affiliations: &affiliations,
            mode: self.mode,
            test_domains: &self.test_domains,
            earlier: Earlier { targets: &self.earlier, again: self.again },
            answers: &self.answers,
            directory_wait_over: self.wait_over,
        })
    }

    fn directory(mut self, npi: &str, entries: &[(&str, &str)]) -> Self {
        let npi: Npi = npi.parse().unwrap();
        let entries = entries.iter().map(|(address, organization)| entry(&npi, address, organization)).collect();
        self.answers.insert(npi, DirectoryAnswer::Found { entries, unavailable: Vec::new() });
        self
    }

    fn answer(mut self, npi: &str, answer: DirectoryAnswer) -> Self {
        self.answers.insert(npi.parse().unwrap(), answer);
        self
    }
}

pub(super) fn entry(npi: &Npi, address: &str, organization: &str) -> DirectoryEntry {
    DirectoryEntry {
        npi: npi.clone(),
        address: address.parse().unwrap(),
        source: DirectorySource::Nppes,
        snapshot: SnapshotId::default(),
        rank: None,
        kind: None,
        affiliation: AffiliatedWith {
            name: (!organization.is_empty()).then(|| organization.to_owned()),
            ..AffiliatedWith::default()
        },
        first_seen: 0,
        last_seen: 0,
        pinned: false,
        last_success: None,
    }
}

pub(super) fn to(direct: Option<&str>, npi: Option<&str>) -> Recipient {
    let (direct, npi) = (direct.map(Stated::parse), npi.map(Stated::parse));
    Recipient { role: Role::Pcp, direct, npi, name: None, organization: None }
}

pub(super) fn configured(direct: &str, when: When) -> ConfiguredTarget {
    ConfiguredTarget { direct: direct.parse().unwrap(), when }
}

pub(super) fn sent_to(route: &Route) -> Vec<&str> {
    route.targets.iter().map(|target| target.address.as_str()).collect()
}

pub(super) fn reasons(route: &Route) -> Vec<Reason> {
    route.trace.iter().filter_map(|line| line.reason).collect()
}

const UNAVAILABLE: fn() -> DirectoryAnswer = || DirectoryAnswer::Unavailable { why: "it is too old".into() };

#[test]
fn tr01_an_address_on_the_order_is_the_one_target_and_nobody_is_asked() {
    let desk = Desk::new(vec![to(Some("a@d.example"), None)]);
    assert!(npis(&desk.order, &desk.known).is_empty());
    let route = desk.route();
    assert_eq!((sent_to(&route), route.decision), (vec!["a@d.example"], Decision::Routed));
    assert_eq!((route.trace.len(), route.trace[0].rule), (1, Rule::OrderAddress));
}

#[test]
fn tr02_the_same_address_from_order_and_directory_is_sent_once_as_the_order_wrote_it() {
    for conflict in [Conflict::OrderWins, Conflict::Union] {
        let mut desk = Desk::new(vec![to(Some("Dr.A@D.example"), Some(PCP))]).directory(PCP, &[("dr.a@d.EXAMPLE", "")]);
        desk.rules.conflict = conflict;
        let route = desk.route();
        assert_eq!(sent_to(&route), ["Dr.A@D.example"]);
        assert_eq!(route.trace.iter().map(|line| line.rule).collect::<Vec<_>>(), [Rule::OrderAddress, Rule::Directory]);
        assert!(route.trace[1].snapshot.is_some());
    }
}

#[test]
fn tr03_when_order_and_directory_differ_the_order_wins_or_both_are_sent() {
    let mut desk = Desk::new(vec![to(Some("a@d.example"), Some(PCP))]).directory(PCP, &[("b@e.example", "Else")]);
    let route = desk.route();
    assert_eq!(sent_to(&route), ["a@d.example"]);
    assert_eq!(route.trace[1].verdict, Verdict::Dropped);
    assert!(route.trace[1].note.contains("different"), "{}", route.trace[1].note);
    desk.rules.conflict = Conflict::Union;
    assert_eq!(sent_to(&desk.route()), ["a@d.example", "b@e.example"]);
}

#[test]
fn tr04_an_npi_with_a_wrong_check_digit_is_not_looked_up_and_the_site_gets_the_result() {
    let mut desk = Desk::new(vec![to(None, Some("1234567890"))]);
    desk.site = vec![configured("s@d.example", When::OnlyIfNone)];
    assert!(npis(&desk.order, &desk.known).is_empty());
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["s@d.example"], vec![Reason::NpiInvalid]));
    assert!(route.targets[0].own_site);
}

#[test]
fn tr05_a_bad_npi_and_no_default_is_held_for_want_of_a_target() {
    let route = Desk::new(vec![to(None, Some("1234567890"))]).route();
    assert_eq!((route.decision, reasons(&route)), (Decision::Held(Reason::NoTarget), vec![Reason::NpiInvalid]));
}

/// What is tried when the directory says `answer`: dropped for that reason, then the site's address, then the organization's,
/// then nobody's.
fn next_rules_after(answer: DirectoryAnswer, reason: Reason) {
    let mut desk = Desk::new(vec![to(None, Some(PCP))]).answer(PCP, answer);
    let route = desk.route();
    assert_eq!((route.decision, reasons(&route)), (Decision::Held(Reason::NoTarget), vec![reason]));
    desk.org = vec![configured("o@d.example", When::OnlyIfNone)];
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["o@d.example"], vec![reason]));
    desk.site = vec![configured("s@d.example", When::OnlyIfNone)];
    assert_eq!(sent_to(&desk.route()), ["s@d.example"], "the nearest first");
}

#[test]
fn tr06_an_npi_that_is_deactivated_or_unknown_is_dropped_for_that_reason_and_no_old_address_is_used() {
    let snapshot = SnapshotId::new();
    // Neither answer carries an address: what an older snapshot had cannot get into the route.
    next_rules_after(DirectoryAnswer::Inactive(snapshot), Reason::NpiInactive);
    next_rules_after(DirectoryAnswer::NotFound(snapshot), Reason::NpiUnknown);
    next_rules_after(DirectoryAnswer::NotConfigured, Reason::NpiUnknown);
}

#[test]
fn tr07_a_known_npi_without_a_direct_address_is_dropped_for_that_reason_and_site_then_organization_stand_in() {
    // TR-07 falls back to fax where that is switched on; product.md has no fax: without a target a person decides.
    next_rules_after(DirectoryAnswer::NoAddress(SnapshotId::new()), Reason::NoAddress);
}

#[test]
fn tr08_of_three_addresses_the_one_affiliated_with_the_site_is_chosen_and_the_others_are_shown() {
    let three = [("p@a.example", "Alpha"), ("p@r.example", "Riverside Clinic"), ("p@b.example", "Beta")];
    let mut desk = Desk::new(vec![to(None, Some(PCP))]).directory(PCP, &three);
    desk.site_name = Some("RIVERSIDE CLINIC");
    let route = desk.route();
    assert_eq!(sent_to(&route), ["p@r.example"]);
    let passed: Vec<_> = route.trace.iter().filter(|l| l.verdict == Verdict::Dropped).map(|l| &l.note).collect();
    assert!(passed.len() == 2 && passed.iter().all(|note| note.contains("affiliated")), "{passed:?}");
}

#[test]
fn tr09_a_tie_across_organizations_goes_to_neither_and_a_default_may_stand_in() {
    let two = [("p@a.example", "Alpha"), ("p@b.example", "Beta")];
    let mut desk = Desk::new(vec![to(None, Some(PCP))]).directory(PCP, &two);
    let route = desk.route();
    assert_eq!((route.decision, sent_to(&route).len()), (Decision::Held(Reason::Ambiguous), 0));
    assert!(route.trace.iter().all(|line| line.verdict == Verdict::Held && line.address.is_some()));

    desk.org = vec![configured("o@d.example", When::OnlyIfNone)];
    let route = desk.route();
    assert_eq!((route.decision, sent_to(&route)), (Decision::Routed, vec!["o@d.example"]));

    desk.org.clear();
    let npi: Npi = PCP.parse().unwrap();
    let Some(DirectoryAnswer::Found { entries, .. }) = desk.answers.get_mut(&npi) else { unreachable!() };
    entries[1].pinned = true;
    assert_eq!(sent_to(&desk.route()), ["p@b.example"]);
}

#[test]
fn tr11_an_unavailable_directory_makes_the_whole_result_wait_and_is_never_taken_for_a_no() {
    let mut desk = Desk::new(vec![to(None, Some(PCP)), to(Some("a@d.example"), None)]).answer(PCP, UNAVAILABLE());
    desk.site = vec![configured("s@d.example", When::OnlyIfNone)];
    let route = desk.route();
    assert_eq!((route.decision, sent_to(&route).len()), (Decision::Waiting(Reason::DirectoryUnavailable), 0));
    assert!(route.trace.iter().all(|line| line.verdict != Verdict::Taken));
    desk.answers.clear();
    assert_eq!(desk.route().decision, Decision::Waiting(Reason::DirectoryUnavailable), "no answer is no answer");

    desk.wait_over = true;
    assert_eq!(sent_to(&desk.route()), ["a@d.example"]);
    desk.order.deliver_to.pop();
    let route = desk.route();
    assert_eq!((sent_to(&route), route.trace[0].reason), (vec!["s@d.example"], Some(Reason::DirectoryUnavailable)));
}

#[test]
fn an_unavailable_directory_does_not_delay_a_recipient_whose_address_is_on_the_order() {
    let mut desk = Desk::new(vec![to(Some("a@d.example"), Some(PCP))]).answer(PCP, UNAVAILABLE());
    assert_eq!(sent_to(&desk.route()), ["a@d.example"]);
    desk.rules.conflict = Conflict::Union;
    assert_eq!(desk.route().decision, Decision::Waiting(Reason::DirectoryUnavailable), "union needs the answer");
}

#[test]
fn tr12_the_sites_address_shadows_the_organizations() {
    let mut desk = Desk::new(vec![]);
    desk.site = vec![configured("s@d.example", When::Always)];
    desk.org = vec![configured("o@d.example", When::Always)];
    let route = desk.route();
    assert_eq!(sent_to(&route), ["s@d.example"]);
    assert_eq!(route.trace[1].verdict, Verdict::Dropped);
    desk.site.clear();
    assert_eq!(sent_to(&desk.route()), ["o@d.example"]);
    assert!(!desk.route().targets[0].own_site);
}

#[test]
fn a_configured_address_is_sent_always_or_only_when_the_order_gave_none() {
    let mut desk = Desk::new(vec![to(Some("a@d.example"), None)]);
    desk.org = vec![configured("always@d.example", When::Always), configured("none@d.example", When::OnlyIfNone)];
    assert_eq!(sent_to(&desk.route()), ["a@d.example", "always@d.example"]);
    desk.order.deliver_to.clear();
    assert_eq!(sent_to(&desk.route()), ["always@d.example", "none@d.example"]);
}

#[test]
fn tr13_a_malformed_address_is_not_repaired_and_not_repeated_in_the_trace() {
    let mut desk = Desk::new(vec![to(Some("Dr X <a@b.example>;c@d.example"), None)]);
    desk.org = vec![configured("o@d.example", When::OnlyIfNone)];
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["o@d.example"], vec![Reason::AddressInvalid]));
    assert!(!route.trace[0].note.contains("Dr X"));
}

#[test]
fn a_bad_address_beside_a_good_npi_falls_back_to_the_directory() {
    let desk = Desk::new(vec![to(Some("nobody"), Some(PCP))]).directory(PCP, &[("p@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["p@a.example"], vec![Reason::AddressInvalid]));
    assert_eq!(route.targets[0].recipient.as_ref().unwrap().npi.as_ref().unwrap().as_str(), PCP);
}

#[test]
fn tr19_a_correction_goes_to_the_current_route_and_to_everyone_who_got_the_wrong_one() {
    let mut desk = Desk::new(vec![to(Some("new@d.example"), None)]);
    let earlier =
        |address: &str| Target { address: address.parse().unwrap(), rule: Rule::OrderAddress, recipient: None, own_site: false };
    desk.earlier = vec![earlier("old@d.example"), earlier("NEW@d.example")];
    assert_eq!(sent_to(&desk.route()), ["new@d.example"], "a final result has nothing to correct");
    desk.report.status = ResultStatus::Corrected;
    let route = desk.route();
    assert_eq!(sent_to(&route), ["new@d.example", "old@d.example"]);
    assert_eq!(route.targets[1].rule, Rule::EarlierRecipient);
    desk.rules.pcp_delivery = false;
    assert_eq!(
        sent_to(&desk.route()),
        ["old@d.example", "NEW@d.example"],
        "switching off later does not leave a wrong report standing"
    );
}

#[test]
fn a_resend_goes_to_the_current_route_and_to_everyone_who_got_it_and_never_against_the_rules() {
    let mut desk = Desk::new(vec![to(Some("new@d.example"), None)]);
    let got =
        |address: &str| Target { address: address.parse().unwrap(), rule: Rule::OrderAddress, recipient: None, own_site: false };
    desk.earlier = vec![got("old@d.example"), got("other@e.example"), got("NEW@d.example")];
    desk.again = true;
    let route = desk.route();
    assert_eq!(sent_to(&route), ["new@d.example", "old@d.example", "other@e.example"], "the same address once");
    assert_eq!(
        (route.targets[1].rule, route.trace[1].note.as_str()),
        (Rule::EarlierRecipient, "received the version that is sent again")
    );
    desk.choice.corrections = crate::domain::choice::Corrections::Hold;
    assert_eq!(sent_to(&desk.route()).len(), 3, "that rule is about corrections");
    desk.choice.allowed_domains = vec!["d.example".into()];
    desk.known.suppressed.push("old@d.example".parse().unwrap());
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["new@d.example"], vec![Reason::Suppressed, Reason::DomainNotAllowed]));
    assert_eq!((route.trace[1].verdict, route.trace[2].verdict), (Verdict::Dropped, Verdict::Held));
    desk.order.deliver_to.clear();
    desk.choice.allowed_domains.clear();
    assert_eq!(sent_to(&desk.route()), ["other@e.example", "NEW@d.example"], "also where the order names nobody any more");
    desk.order.do_not_deliver = true;
    assert_eq!((desk.route().decision, sent_to(&desk.route()).len()), (Decision::Held(Reason::DoNotDeliver), 0));
}

#[test]
fn a_correction_that_is_sent_again_is_held_like_the_correction_was() {
    let mut desk = Desk::new(vec![to(Some("new@d.example"), None)]);
    desk.report.status = ResultStatus::Corrected;
    desk.earlier =
        vec![Target { address: "old@d.example".parse().unwrap(), rule: Rule::OrderAddress, recipient: None, own_site: false }];
    (desk.again, desk.choice.corrections) = (true, crate::domain::choice::Corrections::Hold);
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["new@d.example"], vec![Reason::FormerRecipient]));
}

#[test]
fn tr20_an_addendum_goes_to_the_current_route() {
    let mut desk = Desk::new(vec![to(None, Some(PCP))]).directory(PCP, &[("now@a.example", "Alpha")]);
    desk.report.status = ResultStatus::Addendum;
    desk.earlier =
        vec![Target { address: "then@a.example".parse().unwrap(), rule: Rule::Directory, recipient: None, own_site: false }];
    assert_eq!(sent_to(&desk.route()), ["now@a.example"]);
}

#[test]
fn tr21_a_preliminary_result_is_not_sent_unless_asked_for() {
    let mut desk = Desk::new(vec![to(Some("a@d.example"), None)]);
    desk.report.status = ResultStatus::Preliminary;
    let route = desk.route();
    assert_eq!((route.decision, sent_to(&route).len()), (Decision::NotSent(Reason::Preliminary), 0));
    assert_eq!(reasons(&route), [Reason::Preliminary]);
    desk.rules.send_preliminary = true;
    assert_eq!(sent_to(&desk.route()), ["a@d.example"]);
}

#[test]
fn an_order_that_says_do_not_deliver_holds_its_results() {
    let mut desk = Desk::new(vec![to(Some("a@d.example"), None)]);
    desk.order.do_not_deliver = true;
    let route = desk.route();
    assert_eq!((route.decision, sent_to(&route).len()), (Decision::Held(Reason::DoNotDeliver), 0));
}

#[test]
fn primary_care_can_be_switched_off_and_others_are_still_served() {
    let mut ordering = to(Some("o@d.example"), None);
    ordering.role = Role::Ordering;
    let mut desk = Desk::new(vec![to(Some("a@d.example"), None), ordering]);
    desk.rules.pcp_delivery = false;
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["o@d.example"], vec![Reason::PcpDeliveryOff]));
}

#[test]
fn one_person_in_two_roles_gets_it_once() {
    let mut again = to(None, Some(PCP));
    again.role = Role::Ordering;
    let desk = Desk::new(vec![to(None, Some(PCP)), again]).directory(PCP, &[("p@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!((npis(&desk.order, &desk.known).len(), sent_to(&route)), (1, vec!["p@a.example"]));
    assert!(route.trace[1].note.contains("same address as deliver_to[0]"), "{}", route.trace[1].note);
}

#[test]
fn test_mode_reaches_test_domains_only_and_production_never_does() {
    let mut desk = Desk::new(vec![to(Some("a@hisp.Sandbox.example"), None), to(Some("a@notsandbox.example"), None)]);
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["a@notsandbox.example"], vec![Reason::TestAddress]));
    desk.mode = Mode::Test;
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["a@hisp.Sandbox.example"], vec![Reason::TestMode]));
    desk.test_domains = vec![String::new(), " ".into()];
    let route = desk.route();
    assert_eq!(route.decision, Decision::Held(Reason::TestMode), "an empty domain is not every domain");
}

#[test]
fn the_ordering_provider_is_never_a_target() {
    let mut desk = Desk::new(vec![]);
    desk.order.ordering_provider =
        Some(crate::domain::order::Provider { npi: Some(Stated::parse(OTHER)), taxonomy: None, name: None });
    assert!(npis(&desk.order, &desk.known).is_empty());
    assert_eq!(desk.route().decision, Decision::Held(Reason::NoTarget));
}
