//! People who sign in: what they are called, what they may do, and the hash of their password.

use std::collections::{BTreeMap, BTreeSet};

use super::{Doing as _, Result, Store, StoreError, Tx, audit, provider::drop_link, read, sign_in::TryKey, totp::drop_codes};
use crate::domain::{
    OrgId, Timestamp,
    audit::Witness,
    id::{PersonId, SessionId},
    person::{Known, Reach, Role},
};

/// Somebody who signs in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who it is, and what they may do.
    pub known: Known,
    /// Has codes set up (TOTP).
    pub codes: bool,
    /// The password is a first one: good until then, and only to choose another.
    pub first_until: Option<Timestamp>,
    /// Since when.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Since when nobody gets in as them.
    pub disabled_at: Option<Timestamp>,
}

/// Somebody to be let in.
pub struct NewPerson<'a> {
    /// The id they will have.
    pub id: PersonId,
    /// What they sign in as.
    pub login: &'a str,
    /// What they are called.
    pub name: &'a str,
    /// What they are here for.
    pub role: Role,
    /// Whose rows they may see.
    pub reach: &'a Reach,
    /// The hash of a first password; none: they never sign in with one.
    pub password: Option<&'a str>,
    /// How long that is good, if there is one.
    pub first_until: Timestamp,
}

/// A password to be set.
pub struct NewPassword<'a> {
    /// Whose.
    pub person: PersonId,
    /// Its hash.
    pub hash: &'a str,
    /// It is a first one, good until then.
    pub first_until: Option<Timestamp>,
    /// The session that goes on; all others of theirs end.
    pub keep: Option<SessionId>,
}

/// A person who is given a new first password.
pub struct Reset<'a> {
    /// Who.
    pub person: PersonId,
    /// What they sign in as.
    pub login: &'a str,
    /// The password's hash.
    pub hash: &'a str,
    /// How long it is good.
    pub first_until: Timestamp,
    /// Their codes are taken away, too: what is put on record about that.
    pub codes: Option<Witness<'a>>,
    /// Whom a provider took for them is forgotten, too.
    pub provider: Option<Witness<'a>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    login: String,
    name: String,
    role: String,
    codes: bool,
    first_until: Option<i64>,
    created_at: i64,
    signed_in_at: Option<i64>,
    disabled_at: Option<i64>,
}

impl Row {
    fn person(self, organizations: BTreeSet<OrgId>) -> Result<Person> {
        let role: Role = read("role", &self.role)?;
        let known =
            Known { id: read("person id", &self.id)?, login: self.login, name: self.name, role, reach: Reach::of(organizations) };
        Ok(Person {
            known,
            codes: self.codes,
            first_until: self.first_until.map(Timestamp),
            created_at: Timestamp(self.created_at),
            signed_in_at: self.signed_in_at.map(Timestamp),
            disabled_at: self.disabled_at.map(Timestamp),
        })
    }
}

/// The people that `rest` asks for.
macro_rules! people {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.login, u.name, u.role, u.totp IS NOT NULL AS codes, u.first_until, u.created_at, u.signed_in_at, u.disabled_at
             FROM user_ u ",
            $rest
        )
    };
}

impl Store {
    /// Lets somebody in from now on.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when somebody else signs in under that name.
    pub async fn add_person(&self, new: &NewPerson<'_>, witness: Witness<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let added = within!(&mut tx, c => sqlx::query(
            "INSERT INTO user_ (id, login, login_key, name, role, password, first_until, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (login_key) DO NOTHING")
            .bind(new.id.to_string()).bind(new.login).bind(key(new.login)).bind(new.name).bind(new.role.as_str())
            .bind(new.password).bind(new.password.map(|_| new.first_until.micros())).bind(now.micros())
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("add a person")?;
        if added == 0 {
            return Err(StoreError::Taken("somebody who signs in under that name"));
        }
        confine(&mut tx, new.id, new.reach).await?;
        audit::commit(tx, witness, now).await
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn people(&self) -> Result<Vec<Person>> {
        let rows: Vec<Row> =
            on!(&self.db, pool => sqlx::query_as(people!("ORDER BY u.login_key")).fetch_all(pool).await).doing("list people")?;
        let pairs: Vec<(String, String)> =
            on!(&self.db, pool => sqlx::query_as("SELECT user_id, org_id FROM user_organization").fetch_all(pool).await)
                .doing("list people")?;
        let mut organizations: BTreeMap<String, BTreeSet<OrgId>> = BTreeMap::new();
        for (person, org) in pairs {
            organizations.entry(person).or_default().insert(read("organization id", &org)?);
        }
        rows.into_iter()
            .map(|row| {
                let orgs = organizations.remove(&row.id).unwrap_or_default();
                row.person(orgs)
            })
            .collect()
    }

    /// One person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn person(&self, id: PersonId) -> Result<Option<Person>> {
        let row: Option<Row> =
            on!(&self.db, pool => sqlx::query_as(people!("WHERE u.id = $1")).bind(id.to_string()).fetch_optional(pool).await)
                .doing("look a person up")?;
        self.reaching(row).await
    }

    /// Whoever signs in under this name; case does not matter.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn person_called(&self, login: &str) -> Result<Option<Person>> {
        let row: Option<Row> =
            on!(&self.db, pool => sqlx::query_as(people!("WHERE u.login_key = $1")).bind(key(login)).fetch_optional(pool).await)
                .doing("look a person up")?;
        self.reaching(row).await
    }

    async fn reaching(&self, row: Option<Row>) -> Result<Option<Person>> {
        let Some(row) = row else { return Ok(None) };
        let orgs: Vec<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT org_id FROM user_organization WHERE user_id = $1")
            .bind(&row.id).fetch_all(pool).await)
            .doing("look a person's organizations up")?;
        let orgs = orgs.iter().map(|org| read("organization id", org)).collect::<Result<_>>()?;
        row.person(orgs).map(Some)
    }

    /// The hash of somebody's password.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn password_of(&self, id: PersonId) -> Result<Option<String>> {
        let found: Option<Option<String>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT password FROM user_ WHERE id = $1").bind(id.to_string()).fetch_optional(pool).await)
                .doing("read a password's hash")?;
        Ok(found.flatten())
    }

    /// Sets a password. Everything that was signed in with the old one ends.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is no such person.
    pub async fn set_password(&self, new: &NewPassword<'_>, witness: Witness<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let set = within!(&mut tx, c => sqlx::query("UPDATE user_ SET password = $1, first_until = $2 WHERE id = $3")
            .bind(new.hash).bind(new.first_until.map(Timestamp::micros)).bind(new.person.to_string())
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("set a password")?;
        found(set)?;
        end_sessions(&mut tx, new.person, new.keep).await?;
        audit::commit(tx, witness, now).await
    }

    /// Gives somebody a new first password and forgets their wrong tries; takes their codes away and forgets whom a provider took
    /// for them, where that is witnessed. All of it or nothing, and everything they were signed in to ends.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is no such person.
    pub async fn reset_person(&self, reset: &Reset<'_>, witness: Witness<'_>) -> Result<()> {
        let tries = self.try_key(&TryKey::Name(reset.login)).await?;
        let id = reset.person.to_string();
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let set = within!(&mut tx, c => sqlx::query("UPDATE user_ SET password = $1, first_until = $2 WHERE id = $3")
            .bind(reset.hash).bind(reset.first_until.micros()).bind(&id).execute(c).await.map(|done| done.rows_affected()))
        .doing("reset a password")?;
        found(set)?;
        within!(&mut tx, c => sqlx::query("DELETE FROM sign_in_try WHERE key = $1").bind(tries).execute(c).await.map(drop))
            .doing("forget wrong tries")?;
        if reset.codes.is_some() {
            drop_codes(&mut tx, reset.person).await?;
        }
        // Of whom no provider ever spoke nothing is forgotten, and nothing is said.
        let forgotten = match reset.provider {
            Some(_) if drop_link(&mut tx, reset.person).await? => reset.provider,
            _ => None,
        };
        end_sessions(&mut tx, reset.person, None).await?;
        let witnesses: Vec<Witness<'_>> = [reset.codes, forgotten, Some(witness)].into_iter().flatten().collect();
        audit::commit_all(tx, &witnesses, now).await
    }

    /// Gives somebody another role and reach. They sign in anew.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is no such person.
    pub async fn set_role(&self, id: PersonId, role: Role, reach: &Reach, witness: Witness<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let set = within!(&mut tx, c => sqlx::query("UPDATE user_ SET role = $1 WHERE id = $2")
            .bind(role.as_str()).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("give a role")?;
        found(set)?;
        confine(&mut tx, id, reach).await?;
        end_sessions(&mut tx, id, None).await?;
        audit::commit(tx, witness, now).await
    }

    /// Lets nobody in as them any more, or again.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when there is no such person.
    pub async fn disable_person(&self, id: PersonId, disabled: bool, witness: Witness<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let set = within!(&mut tx, c => sqlx::query("UPDATE user_ SET disabled_at = $1 WHERE id = $2")
            .bind(disabled.then_some(now.micros())).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("disable a person")?;
        found(set)?;
        end_sessions(&mut tx, id, None).await?;
        audit::commit(tx, witness, now).await
    }
}

/// Names are told apart without regard to case.
pub(super) fn key(login: &str) -> String {
    login.trim().to_lowercase()
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 { Err(StoreError::Lost) } else { Ok(()) }
}

async fn confine(tx: &mut Tx, person: PersonId, reach: &Reach) -> Result<()> {
    let id = person.to_string();
    within!(tx, c => sqlx::query("DELETE FROM user_organization WHERE user_id = $1").bind(&id).execute(c).await.map(drop))
        .doing("confine a person")?;
    for org in reach.organizations() {
        within!(tx, c => sqlx::query("INSERT INTO user_organization (user_id, org_id) VALUES ($1, $2)")
            .bind(&id).bind(org.to_string()).execute(c).await.map(drop))
        .doing("confine a person")?;
    }
    Ok(())
}

/// Ends everything somebody is signed in to, except one; gives how many.
pub(super) async fn end_sessions(tx: &mut Tx, person: PersonId, keep: Option<SessionId>) -> Result<u64> {
    within!(tx, c => sqlx::query("DELETE FROM console_session WHERE user_id = $1 AND ($2 IS NULL OR id <> $2)")
        .bind(person.to_string()).bind(keep.map(|id| id.to_string())).execute(c).await.map(|done| done.rows_affected()))
    .doing("end sessions")
}
