//! Whether an address may be used at all, whoever names it: the order, the directory, a rule, or what follows from a failure.

use super::{choice::suppressed, rules::in_domains};
use crate::domain::{
    DirectAddress, Reason,
    choice::{ChoiceRules, Known},
    organization::Mode,
};

/// Why `address` may not be used, with the end of the sentence that names it; `None` when it may.
#[must_use]
pub fn barred(
    address: &DirectAddress,
    choice: &ChoiceRules,
    known: &Known,
    mode: Mode,
    test_domains: &[String],
) -> Option<(Reason, String)> {
    if let Some(what) = suppressed(address, choice, known) {
        return Some((Reason::Suppressed, format!(", and its {} is suppressed", what.kind())));
    }
    let is_test = in_domains(address, test_domains);
    let allowed = &choice.allowed_domains;
    let (reason, why) = match mode {
        Mode::Test if !is_test => (Reason::TestMode, "outside the test domains, and this is test mode"),
        Mode::Production if is_test => (Reason::TestAddress, "in a test domain, and this is production"),
        _ if !allowed.is_empty() && !in_domains(address, allowed) => {
            (Reason::DomainNotAllowed, "outside the domains the organization allows")
        }
        Mode::Test | Mode::Production => return None,
    };
    Some((reason, format!(", but the address is {why}")))
}
