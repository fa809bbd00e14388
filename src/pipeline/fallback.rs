//! What follows when a delivery has failed for good: the organization's next configured address, or a person.

use std::sync::Arc;

use super::{Gateway, routing};
use crate::{
    domain::{
        OrgId, Reason, Timestamp,
        organization::{Billable, ConfiguredTarget, Fallback},
        route::{Candidate, Rule, Target, Verdict},
    },
    observe::{
        chain,
        defect::{DEFECT, contained},
        events, failpoint,
    },
    resolve::barred,
    store::{
        StoreError,
        fallback::{DueFallback, Elsewhere, FailedDelivery, Following, NewTerms, Place},
        organization::Organization,
    },
};

impl Gateway {
    /// Lets follow what is due. Returns how much that was.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn fall_back_due(self: &Arc<Self>, most: usize) -> Result<usize, StoreError> {
        let (mut done, mut place) = (0, Place::default());
        loop {
            let due = self.store.due_fallbacks(most, &place).await?;
            let all = due.len() < most;
            for DueFallback { place: here, failed } in due {
                place = here;
                // Each by itself: one that cannot fall back now stands in nobody's way.
                let followed = match failed {
                    Ok(failed) => contained(self.fall_back(&failed)).await.unwrap_or(Ok(false)),
                    Err(error) => Err(error),
                };
                match followed {
                    Ok(followed) => done += usize::from(followed),
                    Err(error) => {
                        let delivery = &place.delivery;
                        tracing::error!(%delivery, error = chain(&error), "a failed delivery could not fall back; it is tried again");
                    }
                }
            }
            // Those that could not are passed by, not waited for.
            if all || done >= most {
                return Ok(done);
            }
        }
    }

    /// Whether it has been done here.
    async fn fall_back(&self, failed: &FailedDelivery) -> Result<bool, StoreError> {
        let (org, delivery): (OrgId, _) = (failed.org, failed.id);
        // A defect would be met again and again: nothing is dropped, so somebody has to look.
        let defect = || Ok((Following::Hold(format!("{DEFECT}: a person has to look")), Vec::new()));
        let (following, passed_over) = contained(self.what_follows(failed)).await.unwrap_or_else(defect)?;
        let made = match self.store.fall_back(failed, &following, &passed_over).await {
            Ok(made) => made,
            // Another process was first.
            Err(StoreError::Lost) => return Ok(false),
            Err(error) => return Err(error),
        };
        match following {
            Following::Hold(_) => events::FallbackHeld { org, delivery }.emit(),
            Following::Deliveries(..) if !made.is_empty() => {
                events::DeliveryFellBack { org, delivery, made: made.len() }.emit();
            }
            Following::Deliveries(..) | Following::Needless(_) => {}
        }
        Ok(true)
    }

    /// With the addresses passed over, as lines of the trace.
    async fn what_follows(&self, failed: &FailedDelivery) -> Result<(Following, Vec<Candidate>), StoreError> {
        failpoint::reach(failpoint::FALLBACK_DUE);
        let organization = self.organization(failed.org).await?;
        let now = self.store.now().await?;
        let billable = self.billable(&organization, &failed.fee_code, &failed.billed, now).await?;
        let known = self.store.known(failed.org, None, None).await?;
        let mut passed_over = Vec::new();
        let mode = organization.mode(&failed.site);
        let may_be_used = |target: &ConfiguredTarget, line: &Candidate| {
            let bar = barred(&target.direct, &organization.file.choice, &known, mode, &self.settings.test.test_domains);
            let Some((reason, why)) = bar else { return true };
            let note = format!("{}{why}", line.note);
            passed_over.push(Candidate { verdict: Verdict::Dropped, reason: Some(reason), note, ..line.clone() });
            false
        };
        let following = follow(&organization, failed, billable, now, may_be_used);
        Ok((following, passed_over))
    }
}

/// The next tier that has not failed yet, and has an address that may be used.
fn follow(
    organization: &Organization,
    failed: &FailedDelivery,
    billable: Billable,
    now: Timestamp,
    mut may_be_used: impl FnMut(&ConfiguredTarget, &Candidate) -> bool,
) -> Following {
    for (tier, fallback) in organization.file.routing.fallback.iter().enumerate() {
        let (rule, addresses): (Rule, &[ConfiguredTarget]) = match fallback {
            Fallback::Hold => break,
            Fallback::Site => (Rule::Site, organization.site(&failed.site).map_or(&[], |site| &site.targets)),
            Fallback::Organization => (Rule::Organization, &organization.file.targets),
        };
        let tried = |target: &ConfiguredTarget| {
            let key = target.direct.key();
            failed.elsewhere.iter().rev().find(|(address, _)| *address == key).map(|(_, became)| *became)
        };
        // Whoever is meant has it, or it is on its way there: once more would be a second disclosure for nothing.
        if let Some(has) = addresses.iter().find(|target| tried(target) == Some(Elsewhere::Sent)) {
            return Following::Needless(format!("{} gets this result already", has.direct));
        }
        if let Some(held) = addresses.iter().find(|target| tried(target) == Some(Elsewhere::Held)) {
            return Following::Hold(format!("what goes to {} is held: a person has to look", held.direct));
        }
        let targets: Vec<(Target, Candidate)> = addresses
            .iter()
            .filter(|target| tried(target).is_none())
            .map(|target| (target, line(failed, target, rule, tier)))
            .filter(|(target, line)| may_be_used(target, line))
            .map(|(target, line)| (instead(failed, target, rule), line))
            .collect();
        if targets.is_empty() {
            continue;
        }
        let identity = organization.identity(&failed.site);
        let terms = NewTerms {
            from_domain: identity.map_or_else(|| "postern.invalid".to_owned(), |own| own.address.domain_key()),
            billable,
            when_unknown: organization.file.routing.unknown,
            lane: identity.map(super::PostOffice::way).unwrap_or_default(),
            retry_until: now.plus(routing::patience(organization, failed.priority)),
        };
        return Following::Deliveries(targets, terms);
    }
    Following::Hold("there is no other way left: a person has to look".to_owned())
}

/// The same recipient is meant; another address receives it.
fn instead(failed: &FailedDelivery, target: &ConfiguredTarget, rule: Rule) -> Target {
    Target { address: target.direct.clone(), rule, recipient: failed.target.recipient.clone(), own_site: rule == Rule::Site }
}

fn line(failed: &FailedDelivery, target: &ConfiguredTarget, rule: Rule, tier: usize) -> Candidate {
    let why = failed.reason.map_or("it failed", Reason::as_str);
    Candidate {
        origin: Candidate::of_fallback(tier),
        rule,
        address: Some(target.direct.clone()),
        npi: None,
        verdict: Verdict::Taken,
        reason: None,
        note: format!("delivery {} to {} failed ({why})", failed.id, failed.target.address),
        snapshot: None,
        role: failed.target.recipient.as_ref().and_then(|who| who.role),
        roster: None,
        score: None,
    }
}

#[cfg(test)]
mod tests {
    use super::Elsewhere::{Failed, Held, Sent};
    use super::*;
    use crate::domain::{DeliveryId, ResultId, order::Priority, prices::Billed};

    fn organization(fallback: &str) -> Organization {
        let file = format!(
            "slug = \"north\"\nname = \"North\"\n[routing]\nfallback = {fallback}\n[[target]]\ndirect = \"all@d.example\"\n\
             [[site]]\nlocal_id = \"R1\"\ntarget = [{{ direct = \"site@d.example\" }}, {{ direct = \"desk@d.example\" }}]\n"
        );
        Organization { id: OrgId::new(), file: toml::from_str(&file).unwrap(), identities: vec![], installation: vec![] }
    }

    fn failed(elsewhere: &[(&str, Elsewhere)]) -> FailedDelivery {
        FailedDelivery {
            org: OrgId::new(),
            id: DeliveryId::new(),
            result: ResultId::new(),
            site: "R1".into(),
            target: Target {
                address: "pcp@x.example".parse().unwrap(),
                rule: Rule::OrderAddress,
                recipient: None,
                own_site: false,
            },
            fee_code: "direct".into(),
            billed: Billed::default(),
            priority: Priority::Routine,
            reason: Some(Reason::RemoteFailed),
            elsewhere: elsewhere.iter().map(|(address, became)| ((*address).to_owned(), *became)).collect(),
        }
    }

    /// Where it goes instead, `hold`, or `needless`.
    fn follows(fallback: &str, elsewhere: &[(&str, Elsewhere)]) -> String {
        follows_unless(fallback, elsewhere, &[])
    }

    /// The same where some addresses may not be used.
    fn follows_unless(fallback: &str, elsewhere: &[(&str, Elsewhere)], barred: &[&str]) -> String {
        let may_be_used = |target: &ConfiguredTarget, _: &Candidate| !barred.contains(&target.direct.as_str());
        match follow(&organization(fallback), &failed(elsewhere), Billable::Accepted, Timestamp(0), may_be_used) {
            Following::Deliveries(targets, _) => {
                targets.iter().map(|(target, _)| target.address.to_string()).collect::<Vec<_>>().join(" ")
            }
            Following::Hold(_) => "hold".into(),
            Following::Needless(_) => "needless".into(),
        }
    }

    const ALL: &str = r#"["site", "organization", "hold"]"#;

    #[test]
    fn each_tier_is_tried_in_turn_and_then_a_person_has_it() {
        let here = ("pcp@x.example", Failed);
        assert_eq!(follows(ALL, &[here]), "site@d.example desk@d.example");
        assert_eq!(follows(ALL, &[here, ("site@d.example", Failed)]), "desk@d.example");
        let site_failed = [here, ("site@d.example", Failed), ("desk@d.example", Failed)];
        assert_eq!(follows(ALL, &site_failed), "all@d.example");
        assert_eq!(follows(ALL, &[&site_failed[..], &[("all@d.example", Failed)]].concat()), "hold");
        assert_eq!(follows(r#"["hold"]"#, &[here]), "hold");
        assert_eq!(follows("[]", &[here]), "hold", "nothing is dropped");
    }

    #[test]
    fn who_has_the_result_already_does_not_get_it_again() {
        assert_eq!(follows(r#"["site", "hold"]"#, &[("pcp@x.example", Failed), ("site@d.example", Sent)]), "needless");
        assert_eq!(follows(r#"["organization", "hold"]"#, &[("site@d.example", Sent)]), "all@d.example");
    }

    #[test]
    fn where_a_person_has_to_decide_about_the_next_way_they_decide_about_this_too() {
        assert_eq!(follows(ALL, &[("pcp@x.example", Failed), ("site@d.example", Held)]), "hold");
        assert_eq!(follows(ALL, &[("site@d.example", Held), ("desk@d.example", Sent)]), "needless", "the site has it");
        assert_eq!(follows(ALL, &[("site@d.example", Held), ("site@d.example", Sent)]), "needless", "the last word counts");
    }

    #[test]
    fn what_may_not_be_used_is_passed_over_and_without_any_other_the_next_tier_is_tried() {
        assert_eq!(follows_unless(ALL, &[], &["site@d.example"]), "desk@d.example");
        assert_eq!(follows_unless(ALL, &[], &["site@d.example", "desk@d.example"]), "all@d.example");
        assert_eq!(follows_unless(ALL, &[], &["site@d.example", "desk@d.example", "all@d.example"]), "hold");
    }
}
