//! Lets whoever watches the demo into its console.

use zeroize::Zeroizing;

use super::super::{shell, user::first_password};
use crate::{
    crypto::password::{Cost, hash},
    domain::{
        audit::Witness,
        id::PersonId,
        person::{Reach, Role},
    },
    observe::{
        events::{PasswordChanged, PersonAdded},
        facts::Named,
    },
    store::{
        Store,
        person::{NewPassword, NewPerson},
    },
};

/// What the guest signs in as.
const LOGIN: &str = "demo";

/// Makes an admin with a password made up for this once: the console of a demo answers this machine alone.
pub(super) async fn invite(store: &Store) -> anyhow::Result<(&'static str, Zeroizing<String>)> {
    let password = first_password(false, LOGIN)?;
    let hashed = hash(&password, Cost::OWASP)?;
    let (id, actor) = (PersonId::new(), shell::actor());
    let added = PersonAdded { person: id, login: Named(LOGIN), organizations: 0, role: Role::Admin };
    let new = NewPerson {
        id,
        login: LOGIN,
        name: "Guest of the demo",
        role: Role::Admin,
        reach: &Reach::Installation,
        password: None,
        first_until: store.clock().now(),
    };
    store.add_person(&new, Witness::new(&actor, &added)).await?;
    // It is not a first password: nobody has to choose another to look around.
    let set = NewPassword { person: id, hash: &hashed, first_until: None, keep: None };
    store.set_password(&set, Witness::new(&actor, &PasswordChanged { person: id })).await?;
    Ok((LOGIN, password))
}
