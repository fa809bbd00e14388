//! A search for people.

use std::fmt::Write as _;

use crate::{
    cli::table::clean,
    pipeline::probing::{
        Probed,
        told::{Asked, Outcome, Pass, Shown, Verdict, Word},
    },
    trust::discovery::{End, Place},
};

/// The whole page.
pub(super) fn page(probed: &Probed) -> String {
    let mut page = format!("{}, as {} would send to it\n", probed.address, clean(&probed.organization));
    if probed.edge {
        page += "(its identities are in edge mode: certificates are the HISP's business, which may see it differently)\n";
    }
    for (n, step) in probed.steps.iter().enumerate() {
        let _ = write!(page, "\n{}. {}", n + 1, name(step.place));
        match step.end {
            End::Off => page += ": switched off in [discovery]\n",
            _ => page.push('\n'),
        }
        for asked in &step.asked {
            page += &one(asked);
        }
        match step.end {
            End::Invalid => {
                page += "   None of them will do. The search ends here: what a later place holds is not meant to be used.\n";
            }
            End::Unavailable => {
                page += "   No answer is not the same as none: the search ends here and is tried again later.\n";
            }
            End::Valid | End::Nothing | End::Off => {}
        }
    }
    page.push('\n');
    match &probed.outcome {
        Outcome::Found { place, path: subjects, .. } => {
            page += &path(subjects);
            let place = place.map_or("somewhere", name);
            let _ = writeln!(page, "It can be sent to, with the certificate from: {place}.");
        }
        Outcome::Refused { reason, why, remedy } => {
            let _ =
                writeln!(page, "It cannot be sent to now ({}): {}.\nWhat to do: {}.", clean(reason), clean(why), clean(remedy));
        }
    }
    page
}

fn name(place: Place) -> &'static str {
    match place {
        Place::Local => "Imported certificates",
        Place::DnsAddress => "DNS, for the address",
        Place::DnsDomain => "DNS, for the domain",
        Place::LdapAddress => "LDAP, for the address",
        Place::LdapDomain => "LDAP, for the domain",
    }
}

/// One question and what came.
fn one(asked: &Asked) -> String {
    let mut text = format!("   {}", clean(&asked.what));
    if !asked.of.is_empty() {
        let _ = write!(text, " (answered by {})", clean(&asked.of));
    }
    text += &match asked.age_seconds {
        Some(age) => format!(", kept for {}", length(age)),
        None => format!(", {} ms", asked.took_ms),
    };
    match asked.said {
        Word::Nothing => text += ": nothing there\n",
        Word::Unavailable => {
            let _ = writeln!(text, ": no answer: {}", clean(asked.why.as_deref().unwrap_or_default()));
        }
        Word::Directories => {
            let all: Vec<String> = asked.directories.iter().map(|server| clean(server)).collect();
            let _ = writeln!(text, ": {}", all.join(", then "));
        }
        Word::Certificates => {
            let all = &asked.certificates;
            let _ = writeln!(
                text,
                ": {}",
                if all.len() == 1 { "1 certificate".into() } else { format!("{} certificates", all.len()) }
            );
            text.extend(all.iter().map(verdict));
        }
    }
    text
}

fn verdict(verdict: &Verdict) -> String {
    let mut text = String::new();
    match &verdict.certificate {
        Some(certificate) => {
            let _ = writeln!(text, "     - {}", described(certificate));
        }
        None => text += "     - something that is no certificate\n",
    }
    if let Some(url) = &verdict.url {
        let _ = writeln!(text, "       fetched from {}", clean(url));
    }
    if verdict.valid {
        text += "       good\n";
    } else {
        let told = |text: &Option<String>| clean(text.as_deref().unwrap_or_default());
        let _ = writeln!(text, "       bad ({}): {}", told(&verdict.reason), told(&verdict.why));
    }
    for checked in &verdict.checks {
        let result = match checked.result {
            Pass::Pass => "pass",
            Pass::LetPass => "could not be told; let pass (soft_fail)",
            Pass::Fail => "FAIL",
            Pass::NotReached => "not reached",
        };
        let _ = write!(text, "         {:<11} {result}", checked.check.as_str());
        // The first that failed is told above.
        match &checked.why {
            Some(why) if checked.why != verdict.why => {
                let _ = writeln!(text, ": {}", clean(why));
            }
            _ => text.push('\n'),
        }
    }
    text
}

fn described(certificate: &Shown) -> String {
    let Shown { subject, bound_to, key, last_day, .. } = certificate;
    clean(&format!("{subject}, bound to {bound_to}, {key}, last day {last_day}"))
}

/// The path, from the certificate up to its anchor.
fn path(subjects: &[String]) -> String {
    let mut text = "The path of the certificate:\n".to_owned();
    for (n, subject) in subjects.iter().enumerate() {
        let what = match n {
            _ if n + 1 == subjects.len() => " (anchor)",
            0 => " (recipient)",
            _ => "",
        };
        let arrow = if n == 0 { "" } else { "issued by " };
        let _ = writeln!(text, "   {}{arrow}{}{what}", "  ".repeat(n), clean(subject));
    }
    text
}

fn length(seconds: u64) -> String {
    match seconds {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
