use openssl::error::ErrorStack;

use crate::{
    crypto::{CryptoError, der, token::TokenError},
    domain::{Class, Reason},
    trust::TrustError,
};

/// Why a message could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The inner message breaks a rule of mail.
    #[error("the inner message {0}")]
    Inner(&'static str),
    /// The inner message says something else than the caller.
    #[error("the inner message's {header} does not name {expected}")]
    HeaderMismatch {
        /// `From` or `To`.
        header: &'static str,
        /// The address that was given.
        expected: String,
    },
    /// The certificate may not be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The signing key does not belong to its certificate.
    #[error("the signing key does not belong to the certificate '{0}'")]
    KeyMismatch(String),
    /// The message is larger than DER lengths allow.
    #[error("the message is too large to seal")]
    TooLarge(#[source] der::Error),
    /// The body template could not be filled.
    #[error("cannot write the message body")]
    Body(#[source] askama::Error),
    /// The token that has the key could not do its work.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] CryptoError),
    /// OpenSSL could not do its work.
    #[error("cannot {operation}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// What went wrong.
        #[source]
        cause: ErrorStack,
    },
}

impl SealError {
    /// The reason a delivery carries.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Inner(_) | Self::Body(_) => Reason::Malformed,
            Self::HeaderMismatch { .. } => Reason::HeaderMismatch,
            Self::Trust(error) => error.reason(),
            Self::KeyMismatch(_) => Reason::KeyUsage,
            Self::TooLarge(_) => Reason::TooLarge,
            Self::Crypto { .. } | Self::Token(_) | Self::Random(_) => Reason::TrustUnavailable,
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.reason().class()
    }

    pub(super) fn crypto(operation: &'static str) -> impl Fn(ErrorStack) -> Self {
        move |cause| Self::Crypto { operation, cause }
    }
}

impl From<der::Error> for SealError {
    fn from(error: der::Error) -> Self {
        Self::TooLarge(error)
    }
}

/// Why a message was not opened. Whoever sent it learns nothing of this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// It could not be decrypted: whatever the cause, this is all there is to say.
    #[error("the message could not be opened with this key")]
    Undecryptable,
    /// There is no signature inside.
    #[error("the message is not signed")]
    NotSigned,
    /// No signature matches the content.
    #[error("the signature does not match the content")]
    BadSignature,
    /// Signed outside the encryption.
    #[error("the message was encrypted before it was signed")]
    WrongOrder,
    /// Nothing tells whose signature it is.
    #[error("the signer's certificate is not in the message")]
    NoSignerCertificate,
    /// A digest or cipher that is no longer allowed.
    #[error("{0} is not allowed")]
    WeakAlgorithm(String),
    /// Outside and inside disagree.
    #[error("the outer headers do not agree with the protected ones: {0}")]
    HeaderMismatch(&'static str),
    /// Meant for somebody else.
    #[error("the message is not addressed to the recipient it was opened for")]
    NotAddressed,
    /// It cannot be read.
    #[error("the message cannot be read: {0}")]
    Malformed(&'static str),
    /// The inner message breaks a rule of mail.
    #[error("the inner message {0}")]
    MalformedInner(&'static str),
    /// The signer is not believed.
    #[error(transparent)]
    Trust(TrustError),
}

impl OpenError {
    /// The reason a verdict carries.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Undecryptable => Reason::Undecryptable,
            Self::NotSigned => Reason::NotSigned,
            Self::BadSignature => Reason::BadSignature,
            Self::WrongOrder => Reason::WrongOrder,
            Self::NoSignerCertificate => Reason::NoCert,
            Self::WeakAlgorithm(_) => Reason::WeakAlgorithm,
            Self::HeaderMismatch(_) => Reason::HeaderMismatch,
            Self::NotAddressed => Reason::NotAddressed,
            Self::Malformed(_) | Self::MalformedInner(_) => Reason::Malformed,
            Self::Trust(error) => error.reason(),
        }
    }
}
