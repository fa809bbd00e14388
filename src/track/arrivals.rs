//! The end of both ways in: whose address it is, and a message made durable.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use crate::{
    domain::{
        Clock, DirectAddress, IdentityId, Inbound,
        address::BadAddress,
        id::InboundId,
        inbound::{Channel, Way},
    },
    observe::events,
    store::{
        Store, StoreError,
        inbound::{Addressee, Kept},
    },
};

/// Takes what came in. Cheap to clone.
#[derive(Clone)]
pub struct Arrivals {
    store: Store,
    clock: Arc<dyn Clock>,
    own: Arc<[OwnAddress]>,
}

/// An address of the installation itself, which is in the configuration and not in the store.
#[derive(Debug, Clone)]
pub struct OwnAddress {
    /// Which; it is of no organization.
    pub addressee: Addressee,
    /// In edge mode the relay where its mailbox is.
    pub relay: Option<String>,
    /// The mailbox's password.
    pub password: Option<SecretString>,
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

/// A message as a door has it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Which door.
    pub way: Way,
    /// What the door knows about who brought it.
    pub channel: &'a Channel,
    /// MAIL FROM; `None` is the null reverse path.
    pub from: Option<&'a DirectAddress>,
    /// Every RCPT TO.
    pub to: &'a [DirectAddress],
    /// The message.
    pub raw: &'a [u8],
}

impl Arrivals {
    /// Takes mail into `store`.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, own: Arc::default() }
    }

    /// The same, which takes mail for the installation's own addresses too.
    #[must_use]
    pub fn with_own(self, own: Vec<OwnAddress>) -> Self {
        Self { own: own.into(), ..self }
    }

    /// The store, for leases.
    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Whose address this is: every organization that has it as an identity's, and the installation if it is one of its own.
    ///
    /// # Errors
    /// When the store does not answer: nothing follows from that.
    pub async fn whose(&self, address: &DirectAddress) -> Result<Vec<Addressee>, StoreError> {
        let mut found = self.store.addressees(address).await?;
        found.extend(self.own.iter().map(|own| &own.addressee).filter(|own| own.address == *address).cloned());
        Ok(found)
    }

    /// The addresses that have a mailbox at `relay`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn mailboxes_at(&self, relay: &str) -> Result<Vec<Addressee>, StoreError> {
        let mut found = self.store.mailboxes_at(relay).await?;
        let own = self.own.iter().filter(|own| own.relay.as_deref() == Some(relay));
        found.extend(own.map(|own| own.addressee.clone()));
        Ok(found)
    }

    /// The password of the mailbox of one of the installation's own.
    pub(super) fn own_password(&self, identity: IdentityId) -> Option<SecretString> {
        self.own.iter().find(|own| own.addressee.identity == identity)?.password.clone()
    }

    /// Makes a message durable for each of `addressees`; when this returns, its bringer may forget it.
    ///
    /// # Errors
    /// When it could not be stored for one of them. What was stored is found again when the message is brought again.
    pub async fn keep(&self, addressees: &[Addressee], arrival: Arrival<'_>) -> Result<(), StoreError> {
        for addressee in addressees {
            self.keep_one(addressee.org, &addressee.address, arrival.channel, arrival).await?;
        }
        Ok(())
    }

    async fn keep_one(
        &self,
        org: Option<crate::domain::OrgId>,
        address: &DirectAddress,
        channel: &Channel,
        arrival: Arrival<'_>,
    ) -> Result<(), StoreError> {
        let mail = Inbound {
            id: InboundId::new(),
            org,
            identity: address.clone(),
            way: arrival.way,
            channel: channel.clone(),
            envelope_from: arrival.from.cloned(),
            envelope_to: arrival.to.to_vec(),
            received_at: self.clock.now(),
            raw: arrival.raw.to_vec(),
        };
        if let Kept::New(inbound) = self.store.keep_inbound(&mail).await? {
            events::MailKept { inbound, bytes: mail.raw.len(), way: arrival.way }.emit();
        }
        Ok(())
    }

    /// Makes a message durable that came into the mailbox of `identity`, or into one that all our addresses share.
    ///
    /// # Errors
    /// As [`Arrivals::keep`].
    pub(super) async fn keep_fetched(&self, mailbox: &Mailbox, arrival: Arrival<'_>) -> Result<(), StoreError> {
        match mailbox {
            Mailbox::Own(owners) => {
                for owner in owners {
                    let channel = Channel::Mailbox(owner.identity);
                    self.keep_one(owner.org, &owner.address, &channel, arrival).await?;
                }
                Ok(())
            }
            Mailbox::Shared(shared) => {
                let mut addressees = Vec::new();
                for to in arrival.to {
                    addressees.extend(self.whose(to).await?);
                }
                if addressees.is_empty() {
                    // It matched no organization: an administrator sees it.
                    return self.keep_one(None, &shared.stands, arrival.channel, arrival).await;
                }
                self.keep(&addressees, arrival).await
            }
        }
    }
}

/// Whose mailbox it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mailbox {
    /// That of one address. Several organizations may send from it, each with an identity of its own.
    Own(Vec<Addressee>),
    /// One for all our addresses.
    Shared(Shared),
}

/// A mailbox that gets the mail of all our addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shared {
    /// Whose login it is, by which it is told apart; in lower case where it is an address.
    key: String,
    /// Stands for it as the address of what is in it for none of ours. Under `invalid`, which is nobody's (RFC 2606 2), when
    /// the login is no address.
    stands: DirectAddress,
}

impl Shared {
    /// The mailbox of the login `user` at `relay`. A user name that is no address has no domain to show; the relay's name
    /// stands for it.
    ///
    /// # Errors
    /// When no address could be made of the relay's name: whatever it is, one can.
    pub fn of(relay: &str, user: &str) -> Result<Self, BadAddress> {
        if let Ok(stands) = user.parse::<DirectAddress>() {
            return Ok(Self { key: stands.key(), stands });
        }
        let label: String = relay.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let label: String = label.trim_matches('-').chars().take(63).collect();
        let stands = format!("mailbox@{}.invalid", label.trim_end_matches('-')).parse();
        let stands = stands.or_else(|_| "mailbox@relay.invalid".parse())?;
        Ok(Self { key: user.to_owned(), stands })
    }
}

impl Mailbox {
    /// The mailboxes of these identities: one for each address.
    #[must_use]
    pub fn of(identities: Vec<Addressee>) -> Vec<Self> {
        let mut by_address: BTreeMap<String, Vec<Addressee>> = BTreeMap::new();
        for identity in identities {
            by_address.entry(identity.address.key()).or_default().push(identity);
        }
        by_address.into_values().map(Self::Own).collect()
    }

    /// Its address, in lower case; or the login of one that is no address.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Own(owners) => owners.first().map(|owner| owner.address.key()).unwrap_or_default(),
            Self::Shared(shared) => shared.key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_mailbox_is_known_by_its_login_and_has_an_address_whatever_that_is() {
        let of = |relay: &str, user: &str| {
            let shared = Shared::of(relay, user).unwrap();
            (shared.key, shared.stands.to_string())
        };
        let own = |key: &str, stands: &str| (key.to_owned(), stands.to_owned());
        assert_eq!(of("hisp", "All@Lab.example"), own("all@lab.example", "All@Lab.example"));
        assert_eq!(of("HISP a", "notices"), own("notices", "mailbox@hisp-a.invalid"));
        assert_eq!(of("hisp", "LAB\\Notices"), own("LAB\\Notices", "mailbox@hisp.invalid"));
        for odd in ["", "-", "\u{e9}", ".."] {
            assert_eq!(of(odd, "notices").1, "mailbox@relay.invalid", "{odd:?}");
        }
        assert_eq!(of(&format!("{}-{}", "a".repeat(62), "b".repeat(9)), "x").1, format!("mailbox@{}.invalid", "a".repeat(62)));
    }
}
