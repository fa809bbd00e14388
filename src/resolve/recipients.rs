//! One recipient: the address the order names, and what the directory has for its NPI.

use crate::domain::{
    DirectAddress, Npi, Reason,
    order::{Recipient, Role},
    organization::{Conflict, When},
    roster::Says,
    route::{DirectoryAnswer, DirectoryEntry, IntendedRecipient, Rule, Verdict},
    text::Stated,
};

use super::{
    choice::{Choice, Question, Weighed, choose, suppressed},
    walk::{Line, Walk},
};

/// What the trace calls the recipient a roster names.
const ROSTER: &str = "roster";

impl Walk<'_> {
    /// One entry of the order: its own address first, the directory otherwise.
    pub(super) fn recipient(&mut self, origin: &str, recipient: &Recipient) {
        let rule = if recipient.direct.is_some() { Rule::OrderAddress } else { Rule::Directory };
        let mut line = Line::new(origin, rule, String::new());
        line.role = Some(recipient.role);
        line.npi = recipient.npi.as_ref().and_then(Stated::valid).cloned();
        if recipient.role == Role::Pcp && !self.case.rules.pcp_delivery {
            let note = "is a primary care provider, and the organization has switched delivery to them off";
            return self.drop(line.again(note), Reason::PcpDeliveryOff);
        }
        if self.settled_before(&line, recipient) {
            return;
        }
        let mut stated = None;
        let mut own = line.clone();
        own.npi = None;
        match &recipient.direct {
            Some(Stated::Valid(address)) => {
                if let Some(what) = suppressed(address, self.case.choice, self.case.known) {
                    let note = format!("the order names the address, and its {} is suppressed", what.kind());
                    self.note(own.again(note), Some(address.clone()), Verdict::Dropped, Some(Reason::Suppressed));
                } else {
                    stated = Some(address);
                    self.offer(own.again("the order names the address"), address.clone(), Some(intended(recipient)));
                }
            }
            // What was written may be anything, a patient's data too, so the trace does not repeat it.
            Some(Stated::Invalid { problem, .. }) => {
                self.drop(own.again(format!("the address on the order {problem}")), Reason::AddressInvalid);
            }
            None => {}
        }
        line.rule = Rule::Directory;
        match &recipient.npi {
            Some(Stated::Valid(npi)) => self.directory(line, npi, recipient, stated),
            Some(Stated::Invalid { problem, .. }) => {
                self.drop(line.again(format!("the NPI on the order {problem}; the directory was not asked")), Reason::NpiInvalid);
            }
            None if recipient.direct.is_none() => {
                line.rule = Rule::OrderAddress;
                self.drop(line.again("the order names neither an address nor an NPI"), Reason::NoAddress);
            }
            None => {}
        }
    }

    /// The primary care provider the payer's roster names, as if on the order.
    pub(super) fn attributed(&mut self) {
        let Some(attribution) = &self.case.known.attribution else { return };
        let mut line = Line::new(ROSTER, Rule::Roster, String::new());
        line.role = Some(Role::Pcp);
        line.roster = Some(attribution.roster);
        line.npi = attribution.says.pcp().cloned();
        if !self.case.rules.pcp_delivery {
            let note = "the organization has switched delivery to primary care providers off; the roster is not used";
            return self.drop(line.again(note), Reason::PcpDeliveryOff);
        }
        if self.case.roster.when == When::OnlyIfNone && names_pcp(&self.case.order.deliver_to) {
            let note = "the order names the primary care provider itself; the roster is not used";
            return self.note(line.again(note), None, Verdict::Dropped, None);
        }
        let recipient = Recipient {
            role: Role::Pcp,
            direct: None,
            npi: attribution.says.pcp().map(|npi| Stated::Valid(npi.clone())),
            name: None,
            organization: None,
        };
        if self.settled_before(&line, &recipient) {
            return;
        }
        let day = attribution.day;
        match &attribution.says {
            Says::Pcp(npi) => self.directory(line, npi, &recipient, None),
            Says::NoMember => self.drop(line.again("the member is not on the roster"), Reason::NoPcp),
            Says::Nobody => self.drop(line.again(format!("the roster names nobody for the member on {day}")), Reason::NoPcp),
            Says::Overlap(npis) => {
                for npi in npis {
                    let mut each =
                        line.again(format!("one of {} the roster names for the member on {day}; nothing is guessed", npis.len()));
                    each.npi = Some(npi.clone());
                    self.note(each, None, Verdict::Held, Some(Reason::PcpOverlap));
                }
            }
            Says::OtherPerson => {
                let note = "the member has another date of birth on the roster than on the order";
                self.note(line.again(note), None, Verdict::Held, Some(Reason::RosterMismatch));
            }
        }
    }

    /// What was said or done about the recipient before goes before every rule: a person's word, a suppression of the NPI,
    /// and where the result already is.
    fn settled_before(&mut self, line: &Line, recipient: &Recipient) -> bool {
        let known = self.case.known;
        if let Some(named) = known.named(&line.origin) {
            let mut line = line.again("a person named the address for this recipient on the worklist");
            line.rule = Rule::Person;
            match &named.address {
                Some(address) => self.offer(line, address.clone(), Some(intended(recipient))),
                None => {
                    self.drop(line.again("a person left this recipient out on the worklist"), Reason::Dismissed);
                }
            }
            return true;
        }
        let Some(npi) = &line.npi else { return false };
        let npi_suppressed =
            |what: &crate::domain::choice::Suppressed| matches!(what, crate::domain::choice::Suppressed::Npi(own) if own == npi);
        if self.case.choice.suppress.iter().chain(&known.suppressed).any(npi_suppressed) {
            self.drop(line.again("the NPI is suppressed"), Reason::Suppressed);
            return true;
        }
        let names_address = recipient.direct.as_ref().and_then(Stated::valid).is_some();
        if let (Some(target), false) = (known.served_for(npi), names_address) {
            let note = "this version of the result went there for the NPI before, and goes nowhere else for it";
            let (address, intended) = (target.address.clone(), target.recipient.clone());
            let mut line = line.again(note);
            line.rule = target.rule;
            self.offer(line, address, intended);
            return true;
        }
        false
    }

    /// What the directory has for the recipient's NPI. `stated` is the usable address the order names.
    fn directory(&mut self, mut line: Line, npi: &Npi, recipient: &Recipient, stated: Option<&DirectAddress>) {
        let missing = DirectoryAnswer::Unavailable { why: "it was not asked".to_owned() };
        let answer = self.case.answers.get(npi).unwrap_or(&missing);
        let pinned = self.case.known.pins.contains_key(npi);
        // The answers that say "no" are told apart from the one that says nothing.
        let (reason, note) = match answer {
            DirectoryAnswer::Inactive(snapshot) => {
                line.snapshot = Some(*snapshot);
                let beside = if pinned { "; the address pinned for it is not used" } else { "" };
                (Reason::NpiInactive, format!("the directory says that the NPI has been deactivated{beside}"))
            }
            DirectoryAnswer::Found { entries, unavailable } => {
                line.snapshot = entries
                    .iter()
                    .map(|entry| (entry.source, entry.snapshot))
                    .min_by_key(|(source, at)| (*source, at.0))
                    .map(|best| best.1);
                if !unavailable.is_empty() {
                    line.beside = format!(" (not asked: {})", unavailable.join("; "));
                }
                return self.found(&line, npi, entries, recipient, stated);
            }
            // A person chose the address; no directory has to know it.
            _ if pinned => return self.found(&line, npi, &[], recipient, stated),
            DirectoryAnswer::NoAddress(snapshot) => {
                line.snapshot = Some(*snapshot);
                (Reason::NoAddress, "the directory knows the NPI and has no Direct address for it".to_owned())
            }
            DirectoryAnswer::NotFound(snapshot) => {
                line.snapshot = Some(*snapshot);
                (Reason::NpiUnknown, "the NPI is not in the directory".to_owned())
            }
            DirectoryAnswer::NotConfigured => (Reason::NpiUnknown, "no directory is loaded that could know the NPI".to_owned()),
            DirectoryAnswer::Unavailable { why } => {
                let needed = stated.is_none() || self.case.rules.conflict == Conflict::Union;
                if needed && !self.case.directory_wait_over {
                    self.waits = true;
                    let note = format!("the directory could not answer ({why}); the result waits");
                    return self.note(line.again(note), None, Verdict::Held, Some(Reason::DirectoryUnavailable));
                }
                let outcome = if needed { "the wait for it is over" } else { "the address on the order is used" };
                (Reason::DirectoryUnavailable, format!("the directory could not answer ({why}); {outcome}"))
            }
        };
        self.drop(line.again(note), reason);
    }

    fn found(
        &mut self,
        line: &Line,
        npi: &Npi,
        entries: &[DirectoryEntry],
        recipient: &Recipient,
        stated: Option<&DirectAddress>,
    ) {
        if let Some(stated) = stated {
            if let Some(entry) = entries.iter().find(|entry| entry.npi == *npi && entry.address == *stated) {
                let note = format!("the directory has the same address for the NPI; sent once, as {stated}");
                return self.note(line.again(note), Some(entry.address.clone()), Verdict::Dropped, None);
            }
            if self.case.rules.conflict == Conflict::OrderWins {
                return self.disagrees(line, npi, entries, stated);
            }
        }
        let (choice, filtered) = choose(&Question {
            npi,
            entries,
            stated: recipient.organization.as_deref(),
            for_practice: recipient.name.is_none() && recipient.organization.is_some(),
            affiliations: self.case.affiliations,
            rules: self.case.choice,
            known: self.case.known,
        });
        let first = filtered.first().map(|out| out.reason);
        for out in filtered {
            let note = format!("{}, but {}", has(&out.weighed), out.note);
            self.note(line.of(&out.weighed, note), Some(out.weighed.address), Verdict::Dropped, Some(out.reason));
        }
        match choice {
            Choice::None if first.is_some() => {}
            Choice::None => {
                self.drop(line.again("the directory knows the NPI and has no Direct address for it"), Reason::NoAddress);
            }
            Choice::One { chosen, why, passed_over } => {
                for other in passed_over {
                    let note = format!("{}; passed over for {}: {why}", has(&other), chosen.address);
                    self.note(line.of(&other, note), Some(other.address), Verdict::Dropped, None);
                }
                let taken = line.of(&chosen, format!("{}: {why}", has(&chosen)));
                self.offer(taken, chosen.address, Some(intended(recipient)));
            }
            Choice::Ambiguous(addresses) => {
                let note = format!(
                    "one of {} addresses the directory has for the NPI, at different organizations; nothing says which is meant",
                    addresses.len()
                );
                for one in addresses {
                    self.note(line.of(&one, note.clone()), Some(one.address), Verdict::Held, Some(Reason::Ambiguous));
                }
            }
        }
    }

    /// The order has an address the directory does not have: the order wins, the difference is shown.
    fn disagrees(&mut self, line: &Line, npi: &Npi, entries: &[DirectoryEntry], stated: &DirectAddress) {
        let mut others: Vec<&DirectAddress> = entries.iter().filter(|e| e.npi == *npi).map(|e| &e.address).collect();
        others.sort_by_key(|address| (address.key(), address.as_str()));
        others.dedup();
        if let Some(pin) = self.case.known.pins.get(npi).filter(|pin| pin.address != *stated) {
            others.retain(|other| **other != pin.address);
            let note = "the address is pinned for the NPI; the one on the order is used";
            self.note(line.again(note), Some(pin.address.clone()), Verdict::Dropped, None);
        } else if others.is_empty() {
            return self.drop(
                line.again("the directory has no Direct address for the NPI; the one on the order is used"),
                Reason::NoAddress,
            );
        }
        for other in others {
            let note = "the directory has a different address for the NPI; the one on the order is used";
            self.note(line.again(note), Some(other.clone()), Verdict::Dropped, None);
        }
    }
}

/// Who says that it is an address of the NPI.
fn has(weighed: &Weighed) -> String {
    match weighed.source {
        Some((source, _)) => format!("the directory ({source}) has the address for the NPI"),
        None => "a person pinned the address for the NPI, and the directory does not have it".to_owned(),
    }
}

/// Whether the order says itself, in a way that can be read, who the primary care provider is.
fn names_pcp(recipients: &[Recipient]) -> bool {
    recipients.iter().filter(|recipient| recipient.role == Role::Pcp).any(|recipient| {
        recipient.direct.as_ref().and_then(Stated::valid).is_some() || recipient.npi.as_ref().and_then(Stated::valid).is_some()
    })
}

fn intended(recipient: &Recipient) -> IntendedRecipient {
    IntendedRecipient {
        role: Some(recipient.role),
        npi: recipient.npi.as_ref().and_then(Stated::valid).cloned(),
        name: recipient.name.clone(),
        organization: recipient.organization.clone(),
    }
}
