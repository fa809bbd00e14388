//! Letting people in. Whatever is wrong - the name, the password, too many tries - the answer is the same and comes no sooner.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    config::console::ConsoleSection,
    crypto::{
        self,
        password::{self, Cost},
    },
    domain::{
        Timestamp,
        audit::{Actor, Witness},
        id::{PersonId, SessionId},
        password::FORGIVEN,
        person::Known,
    },
    observe::{
        events::{SignInFailed, SignInLocked, SignedIn},
        facts::Factor,
    },
    store::{
        Result, Store, StoreError,
        person::Person,
        session::{NewSession, Session, Stage},
        sign_in::{Counted, TryKey},
    },
};

/// So many wrong tries from one address are forgiven: an office of people shares one.
const FORGIVEN_ADDRESS: u32 = 100;
/// So many passwords are checked at the same time: each takes a core and 19 MiB.
const CHECKS: usize = 2;
/// Whoever waits longer than this for such a place is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// No refusal is given sooner.
const REFUSAL: Duration = Duration::from_millis(300);
/// How long a password that was right waits for its code.
const CODE_LASTS: Duration = Duration::from_mins(5);
/// What somebody nobody knows is compared with: a hash at today's cost that no password has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where somebody tries to get in from.
#[derive(Debug, Clone)]
pub struct Whence<'a> {
    /// The address.
    pub address: Option<IpAddr>,
    /// The browser, as it says.
    pub agent: &'a str,
    /// The request.
    pub request: Option<String>,
    /// What this browser is signed in to: it ends when somebody gets in.
    pub before: Option<SessionId>,
}

/// What came of a try.
#[derive(Debug)]
pub enum Answer {
    /// Let in: what the cookie holds.
    In(String),
    /// The password was right, and a code is awaited: what the cookie holds.
    Code(String),
    /// Not let in.
    Refused,
    /// Too many are trying at this moment.
    Busy,
}

/// By what somebody who is signed in shows that it is they.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Their password.
    Password(&'a str),
    /// A code of the telephone they have, or one for recovery.
    Code(&'a str),
}

/// What came of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// It is they.
    Right,
    /// It is wrong, and counts as a wrong try.
    Wrong,
    /// After too many wrong tries nothing is looked at for a while.
    Locked,
    /// Too many passwords are being checked.
    Busy,
}

/// Checks passwords, a few at a time.
#[derive(Debug, Clone)]
pub struct SignIn {
    store: Store,
    places: Arc<Semaphore>,
    lasts: Duration,
    idle: Duration,
}

impl SignIn {
    /// Lets people of `store` in.
    #[must_use]
    pub fn new(store: Store, settings: &ConsoleSection) -> Self {
        Self { store, places: Arc::new(Semaphore::new(CHECKS)), lasts: settings.lasts.0, idle: settings.idle.0 }
    }

    /// Whether a password is right, computed where it holds nobody up; nothing when too many are waiting for that. The try must have
    /// been counted.
    async fn is_right(&self, given: &str, hash: String) -> Result<Option<bool>> {
        let Ok(Ok(place)) = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await else { return Ok(None) };
        let given = zeroize::Zeroizing::new(given.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let _place = place;
            password::verify(&given, &hash)
        });
        let right = checked.await.map_err(|_| StoreError::Stopped)??;
        Ok(Some(right.unwrap_or(false)))
    }

    /// The hash of a new password, computed where it holds nobody up; nothing when too many are waiting for that.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub async fn hash(&self, given: &str) -> Result<Option<String>> {
        let Ok(Ok(place)) = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await else { return Ok(None) };
        let given = zeroize::Zeroizing::new(given.to_owned());
        let hashed = tokio::task::spawn_blocking(move || {
            let _place = place;
            password::hash(&given, Cost::OWASP)
        });
        Ok(Some(hashed.await.map_err(|_| StoreError::Stopped)??))
    }

    /// A first password that nobody has seen, with its hash; `None` when too many are being made.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub async fn first_password(&self) -> Result<Option<(zeroize::Zeroizing<String>, String)>> {
        let first = crypto::first_password()?;
        Ok(self.hash(&first).await?.map(|hashed| (first, hashed)))
    }

    /// Tries a name and a password.
    ///
    /// # Errors
    /// When the database does not answer, or what happened cannot be put on record: then nobody is let in.
    pub async fn password(&self, login: &str, given: &str, whence: &Whence<'_>) -> Result<Answer> {
        let begun = Instant::now();
        let answer = self.try_password(login, given, whence).await?;
        if matches!(answer, Answer::Refused) {
            sleep_until(begun + REFUSAL).await;
        }
        Ok(answer)
    }

    async fn try_password(&self, login: &str, given: &str, whence: &Whence<'_>) -> Result<Answer> {
        // Who must wait takes nobody's place, and leaves nothing on record: that the wait began is there already.
        let Some(counted) = self.begin_try(login, whence).await? else { return Ok(Answer::Refused) };
        let person = self.store.person_called(login).await?;
        let hash = match &person {
            Some(person) => self.store.password_of(person.known.id).await?,
            None => None,
        };
        // Somebody nobody knows takes as long as somebody who has mistyped.
        let Some(right) = self.is_right(given, hash.unwrap_or_else(|| NOBODY.to_owned())).await? else {
            self.store.take_back_try(&counted).await?;
            return Ok(Answer::Busy);
        };
        let now = self.store.clock().now();
        let id = person.as_ref().map(|person| person.known.id);
        let Some(person) = person.filter(|person| right && may_enter(person, now)) else {
            self.wrong(&counted, id, Factor::Password, &whence.stranger()).await?;
            return Ok(Answer::Refused);
        };
        self.store.take_back_try(&counted).await?;
        if person.codes {
            // The tries are forgotten once the code was right, too.
            let token = self.begin(person.known.id, (Stage::Code, false), None, whence, None).await?;
            return Ok(Answer::Code(token));
        }
        Ok(Answer::In(self.enter(&person, (Factor::Password, false), None, whence).await?))
    }

    /// The session in which a code is awaited.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn awaiting_code(&self, token: &str) -> Result<Option<Session>> {
        Ok(self.store.session(token, self.idle).await?.filter(|session| session.stage == Stage::Code))
    }

    /// Tries a code.
    ///
    /// # Errors
    /// As [`Self::password`].
    pub async fn code(&self, session: &Session, code: &str, whence: &Whence<'_>) -> Result<Answer> {
        let begun = Instant::now();
        let person = &session.person;
        // While nobody gets in a code is not looked at: otherwise one could go on guessing.
        if let Some(counted) = self.begin_try(&person.known.login, whence).await? {
            if self.store.use_code(person.known.id, code).await? {
                self.store.take_back_try(&counted).await?;
                let factor = (Factor::Code, session.by_provider);
                return Ok(Answer::In(self.enter(person, factor, Some(session.id), whence).await?));
            }
            self.wrong(&counted, Some(person.known.id), Factor::Code, &whence.stranger()).await?;
        }
        sleep_until(begun + REFUSAL).await;
        Ok(Answer::Refused)
    }

    /// Counts a try before it is judged; nothing when nobody gets in now.
    async fn begin_try(&self, login: &str, whence: &Whence<'_>) -> Result<Option<Counted>> {
        let network = whence.network();
        self.store.begin_try(&[(TryKey::Name(login), FORGIVEN), (TryKey::Address(&network), FORGIVEN_ADDRESS)]).await
    }

    /// Puts on record that a try was wrong, and that with it a wait began.
    async fn wrong(&self, counted: &Counted, person: Option<PersonId>, factor: Factor, actor: &Actor) -> Result<()> {
        let (wrong, wait) = (counted.wrong, counted.until.since(self.store.clock().now()));
        self.store.witness(actor, &SignInFailed { person, wrong, factor }).await?;
        if !wait.is_zero() {
            self.store.witness(actor, &SignInLocked { person, wrong, wait }).await?;
        }
        Ok(())
    }

    /// Whether somebody who has a session shows that it is they, too: a stolen session must not be a way to guess a password or a
    /// code, nor to set others.
    ///
    /// # Errors
    /// As [`Self::password`].
    pub async fn proves(&self, known: &Known, actor: &Actor, proof: Proof<'_>) -> Result<Proven> {
        let Some(counted) = self.store.begin_try(&[(TryKey::Name(&known.login), FORGIVEN)]).await? else {
            return Ok(Proven::Locked);
        };
        let (right, factor) = match proof {
            Proof::Password(given) => {
                let hash = self.store.password_of(known.id).await?.unwrap_or_else(|| NOBODY.to_owned());
                (self.is_right(given, hash).await?, Factor::Password)
            }
            Proof::Code(code) => (Some(self.store.use_code(known.id, code).await?), Factor::Code),
        };
        if right == Some(false) {
            self.wrong(&counted, Some(known.id), factor, actor).await?;
            return Ok(Proven::Wrong);
        }
        self.store.take_back_try(&counted).await?;
        Ok(right.map_or(Proven::Busy, |_| Proven::Right))
    }

    /// Lets somebody in whom an OpenID provider vouches for: after a code of ours, when `codes` are asked for and they have them.
    ///
    /// # Errors
    /// As [`Self::password`].
    #[cfg(feature = "oidc")]
    pub async fn vouched(&self, person: &Person, codes: bool, whence: &Whence<'_>) -> Result<Answer> {
        if codes && person.codes {
            return Ok(Answer::Code(self.begin(person.known.id, (Stage::Code, true), None, whence, None).await?));
        }
        Ok(Answer::In(self.enter(person, (Factor::Provider, true), None, whence).await?))
    }

    /// Counts a try of somebody whom it vouches for to nobody here, and puts it on record.
    ///
    /// # Errors
    /// When it cannot be written.
    #[cfg(feature = "oidc")]
    pub async fn not_vouched(&self, whence: &Whence<'_>) -> Result<()> {
        let network = whence.network();
        let Some(counted) = self.store.begin_try(&[(TryKey::Address(&network), FORGIVEN_ADDRESS)]).await? else { return Ok(()) };
        self.wrong(&counted, None, Factor::Provider, &whence.stranger()).await
    }

    async fn enter(
        &self,
        person: &Person,
        (factor, by_provider): (Factor, bool),
        instead_of: Option<SessionId>,
        whence: &Whence<'_>,
    ) -> Result<String> {
        self.store.forget_tries(TryKey::Name(&person.known.login)).await?;
        let id = person.known.id;
        let actor = Actor::person(id, &person.known.login).from(whence.address, whence.request.clone());
        self.begin(
            id,
            (Stage::Open, by_provider),
            instead_of,
            whence,
            Some(Witness::new(&actor, &SignedIn { person: id, factor })),
        )
        .await
    }

    async fn begin(
        &self,
        person: PersonId,
        (stage, by_provider): (Stage, bool),
        instead_of: Option<SessionId>,
        whence: &Whence<'_>,
        witness: Option<Witness<'_>>,
    ) -> Result<String> {
        let address = whence.address.map_or_else(String::new, |address| address.to_string());
        let agent: String = whence.agent.chars().filter(|c| !c.is_control()).take(200).collect();
        let lasts = if stage == Stage::Code { CODE_LASTS } else { self.lasts };
        let instead_of = instead_of.or(whence.before);
        let new = NewSession { person, stage, by_provider, address: &address, agent: &agent, lasts, instead_of };
        self.store.begin_session(&new, witness).await
    }
}

/// Whether the right password opens the door.
fn may_enter(person: &Person, now: Timestamp) -> bool {
    person.disabled_at.is_none() && person.first_until.is_none_or(|until| now < until)
}

impl Whence<'_> {
    fn stranger(&self) -> Actor {
        Actor::stranger().from(self.address, self.request.clone())
    }

    /// What tries are counted by: whoever has one IPv6 address has all of its network.
    pub(in crate::web) fn network(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("{:x}", address.to_bits() >> 64),
            Some(address) => address.to_string(),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_nobody_knows_costs_as_much_as_somebody_else() {
        assert_eq!(password::verify("x", NOBODY).unwrap(), Some(false));
        assert!(!password::outdated(NOBODY, Cost::OWASP));
    }
}
