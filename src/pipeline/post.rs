//! Relays and mail exchangers, by name: the way out of each send mode.

use std::{collections::HashMap, sync::Arc};

use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    domain::{DirectAddress, IdentityId, organization::SendMode},
    send::{GoAhead, Job, Login, Mx, Outcome, Relay},
    store::{
        inbound::Addressee,
        organization::{Identity, NewIdentity},
    },
    track::arrivals::OwnAddress,
};

/// Every way out.
pub struct PostOffice {
    relays: HashMap<String, Arc<Relay>>,
    mx: Option<Mx>,
    own: Vec<OwnIdentity>,
}

/// An address the installation itself sends from.
pub(super) struct OwnIdentity {
    /// What everybody may know of it.
    pub(super) identity: Identity,
    /// Its private key (PEM) or mailbox password.
    pub(super) secret: Option<Zeroizing<Vec<u8>>>,
}

impl PostOffice {
    /// The configured relays, and direct delivery if it is possible here.
    #[must_use]
    pub fn new(relays: Vec<Relay>, mx: Option<Mx>) -> Self {
        Self { relays: relays.into_iter().map(|relay| (relay.name().to_owned(), Arc::new(relay))).collect(), mx, own: Vec::new() }
    }

    /// With the addresses the installation itself sends from, for organizations that have none. The first is the default.
    #[must_use]
    pub fn with_identities(mut self, identities: Vec<NewIdentity>) -> Self {
        let own = identities.into_iter().map(|new| {
            let NewIdentity { address, mode, relay, certificate, secret } = new;
            // The same in every process and after every start: mail that came in names the mailbox it lay in.
            let id = IdentityId(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("mailto:{}", address.key()).as_bytes()));
            let identity = Identity { id, address, mode, relay, certificate, has_secret: secret.is_some() };
            OwnIdentity { identity, secret }
        });
        self.own = own.collect();
        self
    }

    /// The addresses the installation itself sends from.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        self.own.iter().map(|own| own.identity.clone()).collect()
    }

    /// The installation's identity with this id, if it is one of them.
    pub(super) fn own(&self, id: IdentityId) -> Option<&OwnIdentity> {
        self.own.iter().find(|own| own.identity.id == id)
    }

    /// The installation's identity with this address, if it is one of them.
    pub(super) fn own_at(&self, address: &DirectAddress) -> Option<&OwnIdentity> {
        self.own.iter().find(|own| own.identity.address == *address)
    }

    /// The same addresses, as the ways in need them: whose mail is taken, and how their mailboxes are looked into.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<OwnAddress> {
        let own = self.own.iter().map(|OwnIdentity { identity, secret }| {
            let edge = identity.mode == SendMode::Edge;
            let password = secret.as_ref().filter(|_| edge);
            OwnAddress {
                addressee: Addressee { org: None, identity: identity.id, address: identity.address.clone() },
                relay: identity.relay.clone().filter(|_| edge),
                password: password.map(|secret| String::from_utf8_lossy(secret).trim_end().to_owned().into()),
            }
        });
        own.collect()
    }

    /// How many messages each lane carries at a time.
    pub(super) fn limits(&self) -> HashMap<String, usize> {
        self.relays.iter().map(|(name, relay)| (name.clone(), relay.max_connections())).collect()
    }

    /// Every relay.
    pub(super) fn relays(&self) -> impl Iterator<Item = &Arc<Relay>> {
        self.relays.values()
    }

    /// The relay with this name.
    #[must_use]
    pub fn relay(&self, name: &str) -> Option<&Arc<Relay>> {
        self.relays.get(name)
    }

    /// The name of the way an identity's mail takes: the lane it is queued in, and the evidence kept of it.
    #[must_use]
    pub fn way(identity: &Identity) -> String {
        identity.relay.clone().unwrap_or_else(|| "mx".to_owned())
    }

    /// Hands one message over by the identity's send mode. `password` is the identity's mailbox password in edge mode.
    pub async fn send<Asking>(
        &self,
        identity: &Identity,
        password: Option<&SecretString>,
        job: &Job<'_>,
        on_wire: impl FnOnce() -> Asking,
    ) -> Outcome
    where
        Asking: Future<Output = GoAhead>,
    {
        if identity.mode == SendMode::StaMx {
            return match &self.mx {
                Some(mx) => mx.send(job, on_wire).await,
                None => down("direct delivery is not set up: this machine has no usable name server"),
            };
        }
        let name = identity.relay.as_deref().unwrap_or_default();
        let Some(relay) = self.relays.get(name) else {
            return down(&format!("there is no [[relay]] named '{name}' in the configuration"));
        };
        // In edge mode the sender logs in; the relay's own login is for us as a STA.
        let login = match (identity.mode, password) {
            (SendMode::Edge, Some(password)) => Login::Sender(password),
            (SendMode::Edge, None) => Login::Certificate,
            _ => Login::Relay,
        };
        relay.send(job, login, on_wire).await
    }
}

fn down(why: &str) -> Outcome {
    Outcome::RelayDown { why: why.to_owned(), retry_after: std::time::Duration::from_mins(1) }
}
