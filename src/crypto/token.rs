//! Keys on a PKCS#11 token: they sign and decrypt there and never leave it.
//!
//! The module is loaded at run time and stays loaded: many of them do not survive being unloaded. A session serves one
//! thread at a time, so each key keeps a few of its own. A PIN that was refused is not tried again: tokens lock themselves
//! after a few wrong ones.

mod uri;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism, MechanismType,
        elliptic_curve::{EcKdf, Ecdh1DeriveParams},
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use openssl::{bn::BigNum, ecdsa::EcdsaSig};
use zeroize::Zeroizing;

pub use uri::TokenUri;

/// Why a key on a token cannot be used. Never carries a PIN.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The URI cannot be used.
    #[error("the PKCS#11 URI {0}")]
    Uri(String),
    /// There is no module to load.
    #[error("the key is on a token, and the configuration names no PKCS#11 module: set module in [token]")]
    NotConfigured,
    /// The PIN cannot be read.
    #[error("cannot read the PIN in {}", path.display())]
    Pin {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// Others on the machine could read the PIN.
    #[error("the PIN in {} can be read or written by others (mode {mode:04o}): run chmod 600 on it", path.display())]
    PinOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The module cannot be loaded.
    #[error("cannot load the PKCS#11 module {}", path.display())]
    Module {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: Error,
    },
    /// A wrong PIN, once: more of them would lock the token.
    #[error("the token has refused the PIN, and it is not tried again: correct pin_file in [token] and start again")]
    PinRefused,
    /// Nothing there, or more than one.
    #[error("{found} that {uri} could mean; it must be one")]
    NotOne {
        /// `there is no token`, `there are 2 keys`.
        found: String,
        /// The URI.
        uri: String,
    },
    /// The token could not do it.
    #[error("the token cannot {doing}")]
    Failed {
        /// What was asked of it.
        doing: &'static str,
        /// Its answer.
        #[source]
        cause: Error,
    },
    /// The thread that talked to it has ended.
    #[error("talking to the token was broken off")]
    Stopped,
    /// It answered with something that is no signature.
    #[error("the token's signature cannot be read")]
    Signature,
}

impl TokenError {
    /// Whether the token has the key and does not let it be used so.
    #[must_use]
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Failed { cause: Error::Pkcs11(RvError::KeyFunctionNotPermitted | RvError::MechanismInvalid, _), .. })
    }
}

/// Digest and mask of RSA-OAEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl OaepHash {
    const fn mechanism(self) -> MechanismType {
        match self {
            Self::Sha1 => MechanismType::SHA1,
            Self::Sha256 => MechanismType::SHA256,
            Self::Sha384 => MechanismType::SHA384,
            Self::Sha512 => MechanismType::SHA512,
        }
    }

    const fn mask(self) -> PkcsMgfType {
        match self {
            Self::Sha1 => PkcsMgfType::MGF1_SHA1,
            Self::Sha256 => PkcsMgfType::MGF1_SHA256,
            Self::Sha384 => PkcsMgfType::MGF1_SHA384,
            Self::Sha512 => PkcsMgfType::MGF1_SHA512,
        }
    }
}

/// A loaded module with the PIN of its tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Loaded>);

struct Loaded {
    module: Pkcs11,
    pin: Option<AuthPin>,
    refused: AtomicBool,
    /// One login at a time; and the first session of each token stays open, because the last one takes the login with it.
    logins: Mutex<HashMap<u64, Session>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Loads `module` and reads the PIN from `pin_file`.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn load(module: &Path, pin_file: Option<&Path>) -> Result<Self, TokenError> {
        let pin = pin_file.map(pin).transpose()?;
        let module = loaded(module).map_err(|cause| TokenError::Module { path: module.to_owned(), cause })?;
        Ok(Self(Arc::new(Loaded { module, pin, refused: AtomicBool::new(false), logins: Mutex::default() })))
    }

    /// The key `uri` names. That it is there is seen here.
    ///
    /// # Errors
    /// When there is no such key, or more than one.
    pub fn key(&self, uri: TokenUri) -> Result<TokenKey, TokenError> {
        let key = TokenKey { tokens: self.clone(), uri, idle: Mutex::default() };
        let opened = key.open()?;
        key.give_back(opened);
        Ok(key)
    }

    fn slot(&self, uri: &TokenUri) -> Result<Slot, TokenError> {
        let failed = |cause| TokenError::Failed { doing: "be found", cause };
        let mut found = Vec::new();
        for slot in self.0.module.get_slots_with_initialized_token().map_err(failed)? {
            let info = self.0.module.get_token_info(slot).map_err(failed)?;
            let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has.trim_end());
            if is(&uri.token, info.label())
                && is(&uri.manufacturer, info.manufacturer_id())
                && is(&uri.model, info.model())
                && is(&uri.serial, info.serial_number())
                && uri.slot.is_none_or(|wanted| wanted == slot.id())
            {
                found.push(slot);
            }
        }
        only("token", &found, uri)
    }

    /// A session on the token, logged in.
    fn session(&self, slot: Slot) -> Result<Session, TokenError> {
        let failed = |cause| TokenError::Failed { doing: "open a session", cause };
        let mut logins = self.0.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let session = self.0.module.open_ro_session(slot).map_err(failed)?;
        let Some(pin) = &self.0.pin else { return Ok(session) };
        if self.0.refused.load(Ordering::Acquire) {
            return Err(TokenError::PinRefused);
        }
        match session.login(UserType::User, Some(pin)) {
            Ok(()) => {
                let kept = self.0.module.open_ro_session(slot).map_err(failed)?;
                logins.insert(slot.id(), kept);
            }
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked, _)) => {
                self.0.refused.store(true, Ordering::Release);
                return Err(TokenError::PinRefused);
            }
            Err(cause) => return Err(TokenError::Failed { doing: "log us in", cause }),
        }
        Ok(session)
    }
}

fn pin(path: &Path) -> Result<AuthPin, TokenError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |cause| TokenError::Pin { path: path.to_owned(), cause };
    let mode = path.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::PinOpen { path: path.to_owned(), mode });
    }
    let pin = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    Ok(AuthPin::from(pin.trim_end_matches(['\r', '\n'])))
}

/// A module can be set up once in a process, and is never taken down.
fn loaded(path: &Path) -> Result<Pkcs11, Error> {
    static MODULES: OnceLock<Mutex<HashMap<PathBuf, Pkcs11>>> = OnceLock::new();
    let mut modules = MODULES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// A private key on a token. Used from several threads, it works on several sessions.
pub struct TokenKey {
    tokens: Tokens,
    uri: TokenUri,
    idle: Mutex<Vec<Opened>>,
}

struct Opened {
    session: Session,
    key: ObjectHandle,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.uri)
    }
}

/// DigestInfo of a SHA-256 digest, up to the digest (RFC 8017 9.2, note 1).
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

impl TokenKey {
    /// Where it is.
    #[must_use]
    pub const fn uri(&self) -> &TokenUri {
        &self.uri
    }

    /// The PKCS#1 v1.5 signature of an RSA key over a SHA-256 digest.
    ///
    /// # Errors
    /// When the token cannot.
    pub fn sign_rsa(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, TokenError> {
        let info = [&SHA256_INFO[..], sha256].concat();
        self.with("sign", |session, key| session.sign(&Mechanism::RsaPkcs, key, &info))
    }

    /// The signature of an elliptic-curve key over a SHA-256 digest, as a DER `ECDSA-Sig-Value`.
    ///
    /// # Errors
    /// When the token cannot.
    pub fn sign_ecdsa(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, TokenError> {
        // A token answers with both numbers side by side.
        let pair = self.with("sign", |session, key| session.sign(&Mechanism::Ecdsa, key, sha256))?;
        let (r, s) = pair.split_at(pair.len() / 2);
        let der = || EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?.to_der();
        if r.is_empty() || r.len() != s.len() { Err(TokenError::Signature) } else { der().map_err(|_| TokenError::Signature) }
    }

    /// Decrypts RSA PKCS#1 v1.5. Whoever calls must not let a failure be told from success.
    ///
    /// # Errors
    /// When the padding is wrong, or the token cannot.
    pub fn decrypt_pkcs1(&self, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.with("decrypt", |session, key| session.decrypt(&Mechanism::RsaPkcs, key, encrypted)).map(Zeroizing::new)
    }

    /// Decrypts RSA-OAEP without a label.
    ///
    /// # Errors
    /// When the padding is wrong, or the token cannot: some know SHA-1 alone.
    pub fn decrypt_oaep(&self, hash: OaepHash, mask: OaepHash, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let how = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash.mechanism(), mask.mask(), PkcsOaepSource::empty()));
        self.with("decrypt", |session, key| session.decrypt(&how, key, encrypted)).map(Zeroizing::new)
    }

    /// The secret of ECDH with the uncompressed `point`, which must have been checked to be on the key's curve; `len` octets,
    /// as many as a coordinate has.
    ///
    /// # Errors
    /// When the token cannot.
    pub fn agree(&self, point: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let secret = self.with("agree on a key", |session, key| {
            let how = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
            let derived = session.derive_key(
                &how,
                key,
                &[
                    Attribute::Class(ObjectClass::SECRET_KEY),
                    Attribute::KeyType(KeyType::GENERIC_SECRET),
                    Attribute::ValueLen(len.try_into()?),
                    Attribute::Token(false),
                    Attribute::Sensitive(false),
                    Attribute::Extractable(true),
                ],
            )?;
            let value = session.get_attributes(derived, &[AttributeType::Value]);
            session.destroy_object(derived)?;
            match value?.pop() {
                Some(Attribute::Value(secret)) => Ok(secret),
                _ => Err(Error::InvalidValue),
            }
        })?;
        Ok(Zeroizing::new(secret))
    }

    /// Does `work` in a session; once more in a new one when the session is gone (the token was pulled, or restarted).
    fn with<T>(&self, doing: &'static str, work: impl Fn(&Session, ObjectHandle) -> Result<T, Error>) -> Result<T, TokenError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (opened, fresh) = match idle {
            Some(opened) => (opened, false),
            None => (self.open()?, true),
        };
        let opened = match work(&opened.session, opened.key) {
            Ok(done) => {
                self.give_back(opened);
                return Ok(done);
            }
            Err(cause) if fresh || !is_gone(&cause) => return Err(TokenError::Failed { doing, cause }),
            Err(_) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                drop(opened);
                self.open()?
            }
        };
        let done = work(&opened.session, opened.key).map_err(|cause| TokenError::Failed { doing, cause })?;
        self.give_back(opened);
        Ok(done)
    }

    fn open(&self) -> Result<Opened, TokenError> {
        let failed = |cause| TokenError::Failed { doing: "look for the key", cause };
        let session = self.tokens.session(self.tokens.slot(&self.uri)?)?;
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        wanted.extend(self.uri.object.clone().map(Attribute::Label));
        wanted.extend(self.uri.id.clone().map(Attribute::Id));
        let found = session.find_objects(&wanted).map_err(failed)?;
        let key = only("private key", &found, &self.uri)?;
        Ok(Opened { session, key })
    }

    fn give_back(&self, opened: Opened) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
    }
}

/// Whether the session is no more, so that the same may work in another.
const fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid,
            _
        )
    )
}

fn only<T: Copy>(what: &str, found: &[T], uri: &TokenUri) -> Result<T, TokenError> {
    match found {
        [one] => Ok(*one),
        [] => Err(TokenError::NotOne { found: format!("there is no {what}"), uri: uri.to_string() }),
        many => Err(TokenError::NotOne { found: format!("there are {} {what}s", many.len()), uri: uri.to_string() }),
    }
}
