//! An organization's rules in words: what follows from its file, for people who do not read TOML.

use super::super::words::lasting;
use crate::domain::organization::{Conflict, Fallback, Mode, OrganizationFile, PatientId, When, WhenUnknown};
use crate::domain::{choice::Corrections, strictness, tracking::AskDispatched};

/// One sentence for each rule.
pub(super) fn sentences(file: &OrganizationFile) -> Vec<String> {
    let mut all = vec![
        match file.mode {
            Mode::Production => "It sends for real; an address of a test domain is held (test_address).",
            Mode::Test => "It is in test mode: only test domains get anything, and it is priced at zero.",
        }
        .to_owned(),
    ];
    all.extend(routing(file));
    all.extend(choice(file));
    all.push(document(file));
    all.extend(tracking(file));
    all.extend(trust(file));
    all
}

fn routing(file: &OrganizationFile) -> Vec<String> {
    let rules = &file.routing;
    let mut all = vec![match rules.conflict {
        Conflict::OrderWins => "When an order names an address and the directory another, the order's is used.".to_owned(),
        Conflict::Union => "When an order names an address and the directory another, both are used.".to_owned(),
    }];
    if !rules.pcp_delivery {
        all.push("Recipients in the role pcp are not served.".to_owned());
    }
    let preliminary = if rules.send_preliminary { "are sent" } else { "are not sent" };
    all.push(format!("Preliminary results {preliminary}."));
    for target in &file.targets {
        let when = match target.when {
            When::Always => "every result",
            When::OnlyIfNone => "every result whose order names nobody who can be reached",
        };
        all.push(format!("{} gets {when}, unless the site has addresses of its own.", target.direct));
    }
    let fallback: Vec<&str> = rules
        .fallback
        .iter()
        .map(|step| match step {
            Fallback::Site => "the site's address",
            Fallback::Organization => "the organization's address",
            Fallback::Hold => "a person",
        })
        .collect();
    let next = if fallback.is_empty() { "nobody".to_owned() } else { fallback.join(", then ") };
    all.push(format!("What has failed for good goes to {next}."));
    all.push(format!("Transport errors are retried for {}, urgent results for two hours at most.", lasting(rules.retry_for)));
    let unknown = match rules.unknown {
        WhenUnknown::Resend => "it is sent once more under the same Message-ID, then held",
        WhenUnknown::Hold => "it is held for a person",
    };
    all.push(format!("When it is not known whether a message was taken, after {} {unknown}.", lasting(rules.unknown_wait)));
    all.push(format!("A result waits {} for its order.", lasting(rules.wait_for_order)));
    all
}

fn choice(file: &OrganizationFile) -> Vec<String> {
    let rules = &file.choice;
    let mut all = Vec::new();
    if !rules.allowed_domains.is_empty() {
        all.push(format!("Results go to these domains alone, others are held: {}.", rules.allowed_domains.join(", ")));
    }
    all.push(match rules.corrections {
        Corrections::Everyone => "A correction goes to everyone who got the wrong version.".to_owned(),
        Corrections::Hold => "A correction for somebody who is no longer on the route is held for a person.".to_owned(),
    });
    all
}

fn document(file: &OrganizationFile) -> String {
    let shown = |how: PatientId| match how {
        PatientId::Null => "is not told (nullFlavor)",
        PatientId::Omit => "is left out",
        PatientId::Mrn => "is the site's own, under its assigning authority",
    };
    let own = file.document.patient_id_own_site.map(|how| format!("; for the order's own site it {}", shown(how)));
    format!("The patient's identifier in documents {}{}.", shown(file.document.patient_id), own.unwrap_or_default())
}

fn tracking(file: &OrganizationFile) -> Vec<String> {
    let rules = &file.tracking;
    let dispatched = match rules.dispatched {
        AskDispatched::Always => "Every message asks to be told of its final place.",
        AskDispatched::Never => "No message asks to be told of its final place.",
        AskDispatched::Auto => "A message asks to be told of its final place where that is known, or likely, to be answered.",
    };
    vec![
        format!(
            "The receiving side has {} to answer, in edge mode {}.",
            lasting(rules.notice_within),
            lasting(rules.notice_within_edge)
        ),
        dispatched.to_owned(),
    ]
}

fn trust(file: &OrganizationFile) -> Vec<String> {
    let rules = &file.trust;
    let mut all = vec![
        match rules.revocation {
            strictness::WhenUnknown::HardFail => {
                "Nothing is sealed to a certificate whose revocation cannot be told; it is tried again."
            }
            strictness::WhenUnknown::SoftFail => "A certificate whose revocation cannot be told is believed, with a warning.",
        }
        .to_owned(),
    ];
    if rules.require_revocation_source {
        all.push("A certificate must name a revocation list or an OCSP responder.".to_owned());
    }
    if !rules.certificate_policies.is_empty() {
        all.push(format!(
            "A recipient's certificate must be under one of these policies: {}.",
            rules.certificate_policies.join(", ")
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(toml: &str) -> String {
        let file: OrganizationFile = toml::from_str(&format!("slug = 'north'\nname = 'North'\n{toml}")).unwrap();
        sentences(&file).join("\n")
    }

    #[test]
    fn a_rule_that_is_set_otherwise_is_said_otherwise() {
        let usual = said("");
        assert!(usual.contains("the order's is used") && usual.contains("Preliminary results are not sent"), "{usual}");
        for (toml, words) in [
            ("mode = 'test'", "test mode"),
            ("[routing]\nconflict = 'union'", "both are used"),
            ("[routing]\nfallback = ['site', 'hold']", "the site's address, then a person"),
            ("[document]\npatient_id = 'omit'", "is left out"),
            ("[trust]\nrevocation = 'soft_fail'", "with a warning"),
            ("[choice]\nallowed_domains = ['d.example']", "d.example"),
            ("[[target]]\ndirect = 'a@d.example'", "a@d.example gets every result"),
        ] {
            assert!(said(toml).contains(words) && !usual.contains(words), "{toml}: {}", said(toml));
        }
    }
}
