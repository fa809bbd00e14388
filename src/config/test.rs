//! `[test]`: test traffic.

use super::section::section;

/// Where the practice HISP has its mailboxes (RFC 6761: `.test` is nobody's on the open network).
pub const SANDBOX_DOMAIN: &str = "hisp.test";

section! {
    /// Keeps test traffic and real traffic apart.
    ["test"] TestSection {
        /// Domains that organizations in test mode may send to, and organizations in production may not.
        /// A domain stands for its subdomains too.
        test_domains: Vec<String> = vec![SANDBOX_DOMAIN.to_owned()],
    }
}
