use crate::domain::{Class, Reason};

/// Why a certificate is not believed, or could not be checked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// There is nothing to judge.
    #[error("no certificate was found for {0}")]
    NoCertificate(String),
    /// The bytes are no certificate, key or list.
    #[error("cannot read {what}: {problem}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Before notBefore or after notAfter.
    #[error("the certificate '{subject}' is not valid at {at} (valid from {from} until {until})")]
    OutOfDate {
        /// Whose certificate.
        subject: String,
        /// The instant asked about.
        at: String,
        /// First valid instant.
        from: String,
        /// Last valid instant.
        until: String,
    },
    /// Names neither the address nor exactly its domain.
    #[error("the certificate '{subject}' names {named}, not {address} or its domain")]
    NotBound {
        /// Whose certificate.
        subject: String,
        /// What its subjectAltName says.
        named: String,
        /// The address it was wanted for.
        address: String,
    },
    /// May not be used for this.
    #[error("the certificate '{subject}' may not be used for {purpose}")]
    KeyUsage {
        /// Whose certificate.
        subject: String,
        /// What it was wanted for.
        purpose: &'static str,
    },
    /// Key too weak or of a kind not allowed.
    #[error("the key of '{subject}' is {key}; RSA of at least 2048 bits, P-256 and P-384 are allowed")]
    KeyAlgorithm {
        /// Whose key.
        subject: String,
        /// What it is.
        key: String,
    },
    /// Signed with a digest that is no longer allowed.
    #[error("the certificate '{subject}' is signed with {algorithm}")]
    WeakAlgorithm {
        /// Whose certificate.
        subject: String,
        /// The signature algorithm.
        algorithm: String,
    },
    /// No path to an anchor.
    #[error("the certificate '{subject}' does not lead to an anchor: {problem}")]
    Untrusted {
        /// Whose certificate.
        subject: String,
        /// Where the path broke.
        problem: String,
    },
    /// A certificate of the path is out of date.
    #[error("a certificate on the path of '{subject}' is out of date")]
    PathOutOfDate {
        /// Whose path.
        subject: String,
    },
    /// Revoked by its issuer.
    #[error("the certificate '{subject}' has been revoked by its issuer")]
    Revoked {
        /// Whose certificate.
        subject: String,
    },
    /// Revocation must be known and is not.
    #[error("whether '{subject}' has been revoked cannot be told now: {}", problem.as_deref().unwrap_or("nothing current of its issuer is at hand"))]
    RevocationUnknown {
        /// Whose certificate.
        subject: String,
        /// Why, when somebody was asked.
        problem: Option<String>,
    },
    /// The policy wants a place where revocation can be asked about, and its issuer names none.
    #[error("the certificate '{subject}' names neither a revocation list nor an OCSP responder, and the policy wants one")]
    NoRevocationSource {
        /// Whose certificate.
        subject: String,
    },
    /// The policy wants a certificate policy that is not asserted.
    #[error("the certificate '{subject}' was not issued under a certificate policy that is wanted ({wanted})")]
    NoPolicy {
        /// Whose certificate.
        subject: String,
        /// Any of these would do.
        wanted: String,
    },
    /// A source of certificates, or what a path needs, did not answer.
    #[error("trust could not be checked: {0}")]
    Unavailable(String),
    /// OpenSSL could not do its work.
    #[error("cannot {operation}: {problem}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// What OpenSSL says.
        problem: String,
    },
}

impl TrustError {
    /// The reason a delivery or verdict carries.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NoCertificate(_) => Reason::NoCert,
            Self::Malformed { .. } => Reason::Malformed,
            Self::OutOfDate { .. } | Self::PathOutOfDate { .. } => Reason::ExpiredCert,
            Self::NotBound { .. } => Reason::NotBound,
            Self::KeyUsage { .. } => Reason::KeyUsage,
            Self::KeyAlgorithm { .. } => Reason::KeyAlgorithm,
            Self::WeakAlgorithm { .. } => Reason::WeakAlgorithm,
            Self::Untrusted { .. } | Self::NoRevocationSource { .. } | Self::NoPolicy { .. } => Reason::Untrusted,
            Self::Revoked { .. } => Reason::Revoked,
            Self::RevocationUnknown { .. } | Self::Unavailable(_) | Self::Crypto { .. } => Reason::TrustUnavailable,
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.reason().class()
    }

    /// How far the certificate came before it failed: of several failures the farthest tells the most.
    pub(super) const fn progress(&self) -> u8 {
        match self {
            Self::NoCertificate(_) => 0,
            Self::Malformed { .. } => 1,
            Self::NotBound { .. } => 2,
            Self::KeyUsage { .. } => 3,
            Self::KeyAlgorithm { .. } => 4,
            Self::OutOfDate { .. } => 5,
            Self::Untrusted { .. } | Self::PathOutOfDate { .. } => 6,
            Self::WeakAlgorithm { .. } | Self::NoRevocationSource { .. } | Self::NoPolicy { .. } => 7,
            Self::Revoked { .. } => 8,
            // Not knowing yet is not knowing: it must win over what is certain about a sibling.
            Self::RevocationUnknown { .. } | Self::Unavailable(_) | Self::Crypto { .. } => 9,
        }
    }

    pub(crate) fn crypto(operation: &'static str) -> impl Fn(openssl::error::ErrorStack) -> Self {
        move |stack| Self::Crypto { operation, problem: stack.to_string() }
    }

    pub(crate) fn malformed(what: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Malformed { what, problem: problem.to_string() }
    }
}
