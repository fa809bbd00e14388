//! A search for people.

use std::{fmt::Write as _, time::Duration};

use crate::{
    cli::{expiry::last_day, table::clean},
    domain::{DirectAddress, organization::SendMode},
    store::organization::Organization,
    trust::{
        Certificate, Trusted,
        discovery::{Asked, End, Place, Said, Search, Verdict},
    },
};

/// The whole page.
pub(super) fn page(address: &DirectAddress, organization: &Organization, search: &Search) -> String {
    let mut page = format!("{address}, as {} would send to it\n", organization.file.slug);
    let identities = &organization.identities;
    if !identities.is_empty() && identities.iter().all(|identity| identity.mode == SendMode::Edge) {
        page += "(its identities are in edge mode: certificates are the HISP's business, which may see it differently)\n";
    }
    for (n, step) in search.steps.iter().enumerate() {
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
    match &search.outcome {
        Ok(trusted) => {
            page += &path(trusted);
            let place = search.place().map_or("somewhere", name);
            let _ = writeln!(page, "It can be sent to, with the certificate from: {place}.");
        }
        Err(error) => {
            let reason = error.reason();
            let _ = writeln!(
                page,
                "It cannot be sent to now ({reason}): {}.\nWhat to do: {}.",
                clean(&error.to_string()),
                reason.remedy()
            );
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
pub(in crate::cli) fn one(asked: &Asked) -> String {
    let mut text = format!("   {}", clean(&asked.what));
    if !asked.of.is_empty() {
        let _ = write!(text, " (answered by {})", clean(&asked.of));
    }
    text += &match asked.age {
        Some(age) => format!(", kept for {}", length(age)),
        None => format!(", {} ms", asked.took.as_millis()),
    };
    match &asked.said {
        Said::Nothing => text += ": nothing there\n",
        Said::Unavailable(why) => {
            let _ = writeln!(text, ": no answer: {}", clean(why));
        }
        Said::Directories(all) => {
            let all: Vec<String> = all.iter().map(|server| clean(&server.to_string())).collect();
            let _ = writeln!(text, ": {}", all.join(", then "));
        }
        Said::Certificates(all) => {
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
    match &verdict.judged {
        Ok(_) => text += "       good\n",
        Err(error) => {
            let _ = writeln!(text, "       bad ({}): {}", error.reason(), clean(&error.to_string()));
        }
    }
    text
}

fn described(certificate: &Certificate) -> String {
    let names = certificate.names().to_string();
    let last = last_day(certificate.valid_until());
    clean(&format!("{}, bound to {names}, {}, last day {last}", certificate.subject(), certificate.key_words()))
}

/// The path, from the certificate up to its anchor.
fn path(trusted: &Trusted) -> String {
    let mut text = "The path of the certificate:\n".to_owned();
    let certificates = trusted.path().certificates();
    for (n, certificate) in certificates.iter().enumerate() {
        let what = match n {
            _ if n + 1 == certificates.len() => " (anchor)",
            0 => " (recipient)",
            _ => "",
        };
        let arrow = if n == 0 { "" } else { "issued by " };
        let _ = writeln!(text, "   {}{arrow}{}{what}", "  ".repeat(n), clean(&certificate.subject()));
    }
    text
}

fn length(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
