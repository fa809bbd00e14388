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
    store::{
        StoreError,
        fallback::{DueFallback, FailedDelivery, Following, NewTerms, Place},
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
        let defect = || Ok(Following::Hold(format!("{DEFECT}: a person has to look")));
        let following = contained(self.what_follows(failed)).await.unwrap_or_else(defect)?;
        let made = match self.store.fall_back(failed, &following).await {
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

    async fn what_follows(&self, failed: &FailedDelivery) -> Result<Following, StoreError> {
        failpoint::reach(failpoint::FALLBACK_DUE);
        let organization = self.organization(failed.org).await?;
        let now = self.store.now().await?;
        let billable = self.billable(&organization, &failed.fee_code, &failed.billed, now).await?;
        Ok(follow(&organization, failed, billable, now))
    }
}

/// The next tier that has not failed yet. Pure.
fn follow(organization: &Organization, failed: &FailedDelivery, billable: Billable, now: Timestamp) -> Following {
    for (tier, fallback) in organization.file.routing.fallback.iter().enumerate() {
        let (rule, addresses): (Rule, &[ConfiguredTarget]) = match fallback {
            Fallback::Hold => break,
            Fallback::Site => (Rule::Site, organization.site(&failed.site).map_or(&[], |site| &site.targets)),
            Fallback::Organization => (Rule::Organization, &organization.file.targets),
        };
        let tried = |target: &ConfiguredTarget| {
            let key = target.direct.key();
            failed.elsewhere.iter().rev().find(|(address, _)| *address == key).map(|(_, failed)| *failed)
        };
        // Whoever is meant has it, or it is on its way there: once more would be a second disclosure for nothing.
        if let Some(has) = addresses.iter().find(|target| tried(target) == Some(false)) {
            return Following::Needless(format!("{} gets this result already", has.direct));
        }
        let targets: Vec<(Target, Candidate)> = addresses
            .iter()
            .filter(|target| tried(target).is_none())
            .map(|target| (instead(failed, target, rule), line(failed, target, rule, tier)))
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
        origin: format!("fallback[{tier}]"),
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
    use super::*;
    use crate::domain::{DeliveryId, ResultId, order::Priority, prices::Billed};

    fn organization(fallback: &str) -> Organization {
        let file = format!(
            "slug = \"north\"\nname = \"North\"\n[routing]\nfallback = {fallback}\n[[target]]\ndirect = \"all@d.example\"\n\
             [[site]]\nlocal_id = \"R1\"\ntarget = [{{ direct = \"site@d.example\" }}, {{ direct = \"desk@d.example\" }}]\n"
        );
        Organization { id: OrgId::new(), file: toml::from_str(&file).unwrap(), identities: vec![], installation: vec![] }
    }

    fn failed(elsewhere: &[(&str, bool)]) -> FailedDelivery {
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
            elsewhere: elsewhere.iter().map(|(address, failed)| ((*address).to_owned(), *failed)).collect(),
        }
    }

    /// Where it goes instead, `hold`, or `needless`.
    fn follows(fallback: &str, elsewhere: &[(&str, bool)]) -> String {
        match follow(&organization(fallback), &failed(elsewhere), Billable::Accepted, Timestamp(0)) {
            Following::Deliveries(targets, _) => {
                targets.iter().map(|(target, _)| target.address.to_string()).collect::<Vec<_>>().join(" ")
            }
            Following::Hold(_) => "hold".into(),
            Following::Needless(_) => "needless".into(),
        }
    }

    #[test]
    fn each_tier_is_tried_in_turn_and_then_a_person_has_it() {
        let all = r#"["site", "organization", "hold"]"#;
        assert_eq!(follows(all, &[("pcp@x.example", true)]), "site@d.example desk@d.example");
        assert_eq!(follows(all, &[("pcp@x.example", true), ("site@d.example", true)]), "desk@d.example");
        let site_failed = [("pcp@x.example", true), ("site@d.example", true), ("desk@d.example", true)];
        assert_eq!(follows(all, &site_failed), "all@d.example");
        assert_eq!(follows(all, &[&site_failed[..], &[("all@d.example", true)]].concat()), "hold");
        assert_eq!(follows(r#"["hold"]"#, &[("pcp@x.example", true)]), "hold");
        assert_eq!(follows("[]", &[("pcp@x.example", true)]), "hold", "nothing is dropped");
    }

    #[test]
    fn who_has_the_result_already_does_not_get_it_again() {
        assert_eq!(follows(r#"["site", "hold"]"#, &[("pcp@x.example", true), ("site@d.example", false)]), "needless");
        assert_eq!(follows(r#"["organization", "hold"]"#, &[("site@d.example", false)]), "all@d.example");
    }
}
