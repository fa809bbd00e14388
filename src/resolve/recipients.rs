//! One recipient of an order: the address it names, and what the directory has for its NPI.

use crate::domain::{
    DirectAddress, Npi, Reason,
    order::{Recipient, Role},
    organization::Conflict,
    route::{DirectoryAnswer, DirectoryEntry, IntendedRecipient, Rule, Verdict},
    text::Stated,
};

use super::{
    choice::{Choice, choose},
    walk::{Line, Walk},
};

impl Walk<'_> {
    /// One entry of the order: its own address first, the directory otherwise.
    pub(super) fn recipient(&mut self, origin: String, recipient: &Recipient) {
        if recipient.role == Role::Pcp && !self.case.rules.pcp_delivery {
            let rule = if recipient.direct.is_some() { Rule::OrderAddress } else { Rule::Directory };
            let line =
                Line::new(origin, rule, "is a primary care provider, and the organization has switched delivery to them off");
            return self.drop(line, Reason::PcpDeliveryOff);
        }
        let mut has_address = false;
        match &recipient.direct {
            Some(Stated::Valid(address)) => {
                has_address = true;
                let line = Line::new(&origin, Rule::OrderAddress, "the order names the address");
                self.offer(line, address.clone(), Some(intended(recipient)));
            }
            // What was written may be anything, a patient's data too, so the trace does not repeat it.
            Some(Stated::Invalid { problem, .. }) => {
                let line = Line::new(&origin, Rule::OrderAddress, format!("the address on the order {problem}"));
                self.drop(line, Reason::AddressInvalid);
            }
            None => {}
        }
        match &recipient.npi {
            Some(Stated::Valid(npi)) => self.directory(origin, npi, recipient, has_address),
            Some(Stated::Invalid { problem, .. }) => {
                let line =
                    Line::new(origin, Rule::Directory, format!("the NPI on the order {problem}; the directory was not asked"));
                self.drop(line, Reason::NpiInvalid);
            }
            None if recipient.direct.is_none() => {
                let line = Line::new(origin, Rule::OrderAddress, "the order names neither an address nor an NPI");
                self.drop(line, Reason::NoAddress);
            }
            None => {}
        }
    }

    fn directory(&mut self, origin: String, npi: &Npi, recipient: &Recipient, has_address: bool) {
        let missing = DirectoryAnswer::Unavailable { why: "it was not asked".to_owned() };
        let answer = self.case.answers.get(npi).unwrap_or(&missing);
        let mut line = Line::new(origin, Rule::Directory, String::new());
        line.npi = Some(npi.clone());
        // The answers that say "no" are told apart from the one that says nothing.
        let (reason, note) = match answer {
            DirectoryAnswer::Found { entries, .. } => {
                line.snapshot = entries.first().map(|entry| entry.snapshot);
                return self.found(line, npi, entries, recipient);
            }
            DirectoryAnswer::NoAddress(snapshot) => {
                line.snapshot = Some(*snapshot);
                (Reason::NoAddress, "the directory knows the NPI and has no Direct address for it".to_owned())
            }
            DirectoryAnswer::Inactive(snapshot) => {
                line.snapshot = Some(*snapshot);
                (Reason::NpiInactive, "the directory says that the NPI has been deactivated".to_owned())
            }
            DirectoryAnswer::NotFound(snapshot) => {
                line.snapshot = Some(*snapshot);
                (Reason::NpiUnknown, "the NPI is not in the directory".to_owned())
            }
            DirectoryAnswer::NotConfigured => (Reason::NpiUnknown, "no directory is loaded that could know the NPI".to_owned()),
            DirectoryAnswer::Unavailable { why } => {
                let needed = !has_address || self.case.rules.conflict == Conflict::Union;
                if needed && !self.case.directory_wait_over {
                    self.waits = true;
                    line.note = format!("the directory could not answer ({why}); the result waits");
                    return self.note(line, None, Verdict::Held, Some(Reason::DirectoryUnavailable));
                }
                let outcome = if needed { "the wait for it is over" } else { "the address on the order is used" };
                (Reason::DirectoryUnavailable, format!("the directory could not answer ({why}); {outcome}"))
            }
        };
        line.note = note;
        self.drop(line, reason);
    }

    fn found(&mut self, mut line: Line, npi: &Npi, entries: &[DirectoryEntry], recipient: &Recipient) {
        if let Some(stated) = recipient.direct.as_ref().and_then(Stated::valid) {
            if let Some(entry) = entries.iter().find(|entry| entry.npi == *npi && entry.address == *stated) {
                line.note = format!("the directory has the same address for the NPI; sent once, as {stated}");
                return self.note(line, Some(entry.address.clone()), Verdict::Dropped, None);
            }
            if self.case.rules.conflict == Conflict::OrderWins {
                return self.disagrees(&line, npi, entries);
            }
        }
        match choose(npi, entries, recipient.organization.as_deref(), self.case.affiliations) {
            Choice::None => {
                "the directory knows the NPI and has no Direct address for it".clone_into(&mut line.note);
                self.drop(line, Reason::NoAddress);
            }
            Choice::One { address, why, passed_over } => {
                for other in passed_over {
                    let note = format!("the directory has it for the NPI; passed over for {address}: {why}");
                    self.note(line.again(note), Some(other), Verdict::Dropped, None);
                }
                line.note = format!("the directory has the address for the NPI: {why}");
                self.offer(line, address, Some(intended(recipient)));
            }
            Choice::Ambiguous(addresses) => {
                let note = format!(
                    "one of {} addresses the directory has for the NPI, at different organizations; nothing says which is meant",
                    addresses.len()
                );
                for address in addresses {
                    self.note(line.again(note.clone()), Some(address), Verdict::Held, Some(Reason::Ambiguous));
                }
            }
        }
    }

    /// The order has an address the directory does not have: the order wins, the difference is shown.
    fn disagrees(&mut self, line: &Line, npi: &Npi, entries: &[DirectoryEntry]) {
        let mut others: Vec<&DirectAddress> = entries.iter().filter(|e| e.npi == *npi).map(|e| &e.address).collect();
        others.sort_by_key(|address| (address.key(), address.as_str()));
        others.dedup();
        if others.is_empty() {
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

fn intended(recipient: &Recipient) -> IntendedRecipient {
    IntendedRecipient {
        role: Some(recipient.role),
        npi: recipient.npi.as_ref().and_then(Stated::valid).cloned(),
        name: recipient.name.clone(),
        organization: recipient.organization.clone(),
    }
}
