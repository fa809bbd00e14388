//! By what a relay of ours is recognized when it comes to us.

use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};

use super::SmtpInError;
use crate::{
    config::relay::RelaySettings,
    crypto,
    domain::{Network, inbound::Channel},
};

/// The relays that deliver to us.
#[derive(Debug)]
pub(super) struct Links(Vec<Link>);

#[derive(Debug)]
struct Link {
    relay: String,
    from: Vec<Network>,
    login: Option<(String, SecretString)>,
}

impl Links {
    /// Reads the logins of `relays`.
    pub(super) fn read(relays: &[RelaySettings]) -> Result<Self, SmtpInError> {
        let link = |relay: &RelaySettings| {
            let login = relay.inbound_auth.as_ref().map(|auth| {
                let failed = |cause| SmtpInError::File { path: auth.password_file.clone().unwrap_or_default(), cause };
                Ok::<_, SmtpInError>((auth.user.clone(), auth.password().map_err(failed)?))
            });
            Ok(Link { relay: relay.name.clone(), from: relay.inbound_from.clone(), login: login.transpose()? })
        };
        relays.iter().map(link).collect::<Result<_, _>>().map(Self)
    }

    /// Whether anybody may log in at all.
    pub(super) fn know_logins(&self) -> bool {
        self.0.iter().any(|link| link.login.is_some())
    }

    /// Whether any is known by where it comes from.
    pub(super) fn know_places(&self) -> bool {
        self.0.iter().any(|link| !link.from.is_empty())
    }

    /// The relay that delivers from `client`.
    pub(super) fn from(&self, client: IpAddr) -> Channel {
        let link = self.0.iter().find(|link| link.from.iter().any(|network| network.contains(client)));
        link.map_or(Channel::None, |link| Channel::Relay(link.relay.clone()))
    }

    /// The relay whose login this is. The password is compared in constant time.
    pub(super) fn login(&self, user: &str, password: &str) -> Option<Channel> {
        // Hashed first, so that not even the length shows.
        let given = crypto::sha256(password.as_bytes());
        self.0.iter().find_map(|link| {
            let (name, expected) = link.login.as_ref()?;
            let same = crypto::same(&given, &crypto::sha256(expected.expose_secret().as_bytes()));
            (name == user && same && !password.is_empty()).then(|| Channel::Relay(link.relay.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        let relay = "name = \"hisp-a\"\nhost = \"h.example\"\ninbound_from = [\"192.0.2.0/28\", \"2001:db8::/64\"]\n\
                     inbound_auth = { user = \"u\", password = \"p\" }";
        let other = "name = \"hisp-b\"\nhost = \"h.example\"\ninbound_auth = { user = \"v\", password = \"\" }";
        Links::read(&[toml::from_str(relay).unwrap(), toml::from_str(other).unwrap()]).unwrap()
    }

    #[test]
    fn a_relay_is_known_by_its_networks_and_nobody_else_is() {
        let hisp = Channel::Relay("hisp-a".into());
        for (address, expected) in [
            ("192.0.2.15", hisp.clone()),
            ("192.0.2.16", Channel::None),
            ("2001:db8::1", hisp),
            ("2001:db8:0:1::1", Channel::None),
        ] {
            assert_eq!(links().from(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn a_login_proves_its_own_relay_and_an_empty_password_proves_nothing() {
        assert_eq!(links().login("u", "p"), Some(Channel::Relay("hisp-a".into())));
        for (user, password) in [("u", "q"), ("v", "p"), ("v", ""), ("", "")] {
            assert_eq!(links().login(user, password), None, "{user}");
        }
    }
}
