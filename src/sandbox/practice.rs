//! The keys of the practice HISP: an authority of its own, a certificate for every domain it serves, and the opening of
//! what arrives.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::Opener;
use crate::{
    crypto::private,
    domain::{Clock, DirectAddress},
    seal::{self, Opening, Own},
    trust::{
        Anchors, Certificate, Policy, TrustError,
        authority::{Authority, Binding, KeyKind, Order},
    },
};

/// How long practice certificates last.
const LASTS: Duration = Duration::from_hours(24 * 365);

/// What can go wrong with practice keys.
#[derive(Debug, thiserror::Error)]
pub enum PracticeError {
    /// A file cannot be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A key or certificate cannot be made or read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A key cannot be read.
    #[error(transparent)]
    Key(#[from] seal::SealError),
}

/// The authority, in a folder, so that it is the same after a restart.
#[derive(Clone)]
pub struct Practice {
    folder: PathBuf,
    authority: Arc<Authority>,
    clock: Arc<dyn Clock>,
    owned: Arc<Mutex<HashMap<String, Own>>>,
}

impl std::fmt::Debug for Practice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Practice").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Practice {
    /// Opens the authority in `folder`, or makes one there.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, PracticeError> {
        fs::create_dir_all(folder).map_err(|cause| PracticeError::File { path: folder.to_owned(), cause })?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let authority = if certificate.exists() && key.exists() {
            Authority::from_pem(&read(&certificate)?, &read(&key)?)?
        } else {
            let now = clock.now();
            let made = Authority::new(
                "Postern practice authority",
                KeyKind::Rsa(2048),
                now.minus(Duration::from_hours(1)),
                now.plus(LASTS * 10),
            )?;
            write(&key, made.key_pem()?.as_bytes())?;
            write(&certificate, made.certificate().pem()?.as_bytes())?;
            made
        };
        Ok(Self { folder: folder.to_owned(), authority: Arc::new(authority), clock, owned: Arc::default() })
    }

    /// The authority's certificate: the anchor to import.
    #[must_use]
    pub fn anchor(&self) -> &Certificate {
        self.authority.certificate()
    }

    /// A certificate and key bound to `domain`, made at first use.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn domain(&self, domain: &str) -> Result<Own, PracticeError> {
        let domain = domain.to_ascii_lowercase();
        if let Some(own) = self.owned.lock().ok().and_then(|owned| owned.get(&domain).cloned()) {
            return Ok(own);
        }
        let (certificate_file, key_file) = (self.folder.join(format!("{domain}.pem")), self.folder.join(format!("{domain}.key")));
        let own = if certificate_file.exists() && key_file.exists() {
            Own {
                certificate: Certificate::read_all(&read(&certificate_file)?)?.swap_remove(0),
                key: seal::read_key(&read(&key_file)?)?.into(),
            }
        } else {
            let now = self.clock.now();
            let order = Order::new(Binding::Domain(domain.clone()), now.minus(Duration::from_hours(1)), now.plus(LASTS));
            let issued = self.authority.issue(&order)?;
            write(&key_file, issued.key_pem()?.as_bytes())?;
            write(&certificate_file, issued.certificate.pem()?.as_bytes())?;
            Own { certificate: issued.certificate, key: issued.key.into() }
        };
        if let Ok(mut owned) = self.owned.lock() {
            owned.insert(domain, own.clone());
        }
        Ok(own)
    }

    /// The certificate and key of a domain, as PEM.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn pair(&self, domain: &str) -> Result<(String, String), PracticeError> {
        self.domain(domain)?;
        let text = |extension| read(&self.folder.join(format!("{}.{extension}", domain.to_ascii_lowercase())));
        let (certificate, key) = (text("pem")?, text("key")?);
        Ok((String::from_utf8_lossy(&certificate).into_owned(), String::from_utf8_lossy(&key).into_owned()))
    }

    /// A certificate and key for the address a client sends from, as PEM.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn identity(&self, address: &DirectAddress) -> Result<(String, String), PracticeError> {
        let now = self.clock.now();
        let order = Order::new(Binding::Address(address.clone()), now.minus(Duration::from_hours(1)), now.plus(LASTS));
        let issued = self.authority.issue(&order)?;
        Ok((issued.certificate.pem()?, issued.key_pem()?))
    }

    /// The certificate of the SMTP server `host`, as PEM: certificate, then key.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn server(&self, host: &str) -> Result<(String, String), PracticeError> {
        let now = self.clock.now();
        let mut order = Order::new(Binding::Domain(host.to_owned()), now.minus(Duration::from_hours(1)), now.plus(LASTS));
        order.usage = crate::trust::authority::Usage::WebServer;
        let issued = self.authority.issue(&order)?;
        Ok((issued.certificate.pem()?, issued.key_pem()?))
    }
}

impl Practice {
    /// Opens a message for `recipient`, and says who signed it.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub fn verified(&self, recipient: &DirectAddress, message: &[u8]) -> Result<seal::Verified, String> {
        let own = self.domain(&recipient.domain_key()).map_err(|error| error.to_string())?;
        let anchors = Anchors::new(vec![self.anchor().clone()]);
        let policy = Policy::new(&anchors, &[]);
        let opening = Opening { own: &[own], policy, at: self.clock.now(), rcpt: Some(recipient) };
        seal::open(message, opening).map_err(|error| error.to_string())
    }

    /// A certificate and key for `address` under an authority that nobody knows.
    ///
    /// # Errors
    /// [`PracticeError`].
    pub fn stranger(address: &DirectAddress, clock: &dyn Clock) -> Result<Own, PracticeError> {
        let (from, until) = (clock.now().minus(Duration::from_hours(1)), clock.now().plus(LASTS));
        let authority = Authority::new("An authority that nobody knows", KeyKind::Rsa(2048), from, until)?;
        let issued = authority.issue(&Order::new(Binding::Domain(address.domain_key()), from, until))?;
        Ok(Own { certificate: issued.certificate, key: issued.key.into() })
    }
}

impl Opener for Practice {
    fn open(&self, recipient: &DirectAddress, message: &[u8]) -> Result<Vec<u8>, String> {
        self.verified(recipient, message).map(|verified| verified.inner().to_vec())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PracticeError> {
    fs::read(path).map_err(|cause| PracticeError::File { path: path.to_owned(), cause })
}

/// Writes a file that is its owner's alone, as keys are.
///
/// # Errors
/// [`PracticeError::File`].
pub fn write(path: &Path, content: &[u8]) -> Result<(), PracticeError> {
    private::write(path, content).map_err(|cause| PracticeError::File { path: path.to_owned(), cause })
}
