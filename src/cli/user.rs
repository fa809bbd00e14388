//! `postern user`: who may sign in to the console.

use std::io::BufRead as _;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Exit,
    context::{self, Context, Global, Output, with_store},
    print, say, shell,
    table::{Rows, print_json, time, word},
};
use crate::{
    crypto::{
        self,
        password::{Cost, hash},
    },
    domain::{
        audit::{Audited, Witness},
        id::PersonId,
        password,
        person::{Reach, Role},
        text::{FIELD_LIMIT, line},
        time::Span,
    },
    observe::{
        events::{PersonAdded, PersonDisabled, PersonEnabled, RoleGiven},
        facts::Named,
    },
    store::{
        Store,
        person::{NewPerson, Person},
    },
    web::auth::access::{self, Anew, ReachError},
};

/// People who may sign in to the console
///
/// Roles: admin (everything), operator (keeps results flowing), billing (fees; never sees a patient), auditor (sees everything
/// but patients, changes nothing), viewer (a client or payer: sees what became of the results of its organizations).
#[derive(Debug, Args)]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    /// Let somebody in no more, and end what they are signed in to
    Disable(Whom),
    /// Let somebody in again
    Enable(Whom),
    Reset(Reset),
    Role(Give),
}

/// Let somebody in, with a first password: it is printed this once, and good only to choose another
#[derive(Debug, Args)]
struct Add {
    /// What they sign in as, e.g. jo@clinic.example
    login: String,
    /// What they are here for
    #[arg(long)]
    role: Role,
    /// What they are called; without it as they sign in
    #[arg(long)]
    name: Option<String>,
    /// Confine them to this organization; may be given several times. A viewer names at least one
    #[arg(long, value_name = "SLUG")]
    organization: Vec<String>,
    /// Read the first password from standard input instead of making one up
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    output: Output,
}

/// List who may sign in
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Whom {
    /// What they sign in as
    login: String,
}

/// Give somebody a new first password, forget their wrong tries, and end what they are signed in to
#[derive(Debug, Args)]
struct Reset {
    /// What they sign in as
    login: String,
    /// Take their codes away, too: for a lost telephone. They set them up anew
    #[arg(long)]
    codes: bool,
    /// Forget whom an OpenID provider took for them; the next who comes from there under their name is they
    #[arg(long)]
    provider: bool,
    /// Read the password from standard input instead of making one up
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    output: Output,
}

/// Give somebody another role, or other organizations; they sign in anew
#[derive(Debug, Args)]
struct Give {
    /// What they sign in as
    login: String,
    /// What they are here for
    #[arg(long)]
    role: Role,
    /// Confine them to this organization; may be given several times
    #[arg(long, value_name = "SLUG")]
    organization: Vec<String>,
}

pub(crate) fn run(user: &User, global: &Global) -> anyhow::Result<Exit> {
    match &user.command {
        Command::Add(args) => add(args, global),
        Command::List(args) => list(args, global),
        Command::Disable(args) => disable(args, true, global),
        Command::Enable(args) => disable(args, false, global),
        Command::Reset(args) => reset(args, global),
        Command::Role(args) => give(args, global),
    }
}

fn add(args: &Add, global: &Global) -> anyhow::Result<Exit> {
    let login = line(&args.login, FIELD_LIMIT).map_err(|problem| anyhow::anyhow!("the login {problem}"))?;
    ensure!(!login.contains(char::is_whitespace), "the login must not have spaces in it");
    let name = line(args.name.as_deref().unwrap_or(login), FIELD_LIMIT).map_err(|problem| anyhow::anyhow!("--name {problem}"))?;
    let first = first_password(args.password_stdin, login)?;
    let hashed = hash(&first, Cost::OWASP)?;
    let good_for = with_store(global, async |context, store| {
        let reach = reach(store, args.role, &args.organization).await?;
        let id = PersonId::new();
        let event = PersonAdded { person: id, login: Named(login), organizations: args.organization.len(), role: args.role };
        let new =
            NewPerson { id, login, name, role: args.role, reach: &reach, password: Some(&hashed), first_until: until(context) };
        store.add_person(&new, Witness::new(&shell::actor(), &event)).await?;
        Ok(context.config().console.first_password)
    })?;
    show_first(&first, good_for, args.password_stdin, login, args.output.json)
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (people, slugs) = with_store(global, async |_, store| Ok((store.people().await?, context::slugs(store).await?)))?;
    let organizations = |person: &Person| -> Vec<String> {
        person.known.reach.organizations().iter().map(|org| slugs.get(org).cloned().unwrap_or_default()).collect()
    };
    if args.output.json {
        let all: Vec<_> = people
            .iter()
            .map(|person| {
                json!({ "id": person.known.id, "login": person.known.login, "name": person.known.name, "role": person.known.role,
                        "organizations": organizations(person), "codes": person.codes, "first_password": person.first_until.is_some(),
                        "created_at": person.created_at.to_string(), "signed_in_at": person.signed_in_at.map(|at| at.to_string()),
                        "disabled": person.disabled_at.is_some() })
            })
            .collect();
        print_json(&all)?;
        return Ok(Exit::Good);
    }
    if people.is_empty() {
        say("nobody may sign in yet: postern user add LOGIN --role admin");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["login", "name", "role", "organizations", "codes", "signed in", "state"]);
    for person in &people {
        let state = match (person.disabled_at, person.first_until) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "first password",
            (None, None) => "",
        };
        let codes = if person.codes { "yes" } else { "" };
        let (known, signed_in) = (&person.known, word(person.signed_in_at.map(time)));
        let (role, organizations) = (known.role.to_string(), organizations(person).join(" "));
        rows.push([known.login.clone(), known.name.clone(), role, organizations, codes.into(), signed_in, state.into()]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn disable(args: &Whom, disabled: bool, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let id = found(store, &args.login).await?.known.id;
        let (out, in_): (PersonDisabled, PersonEnabled) = (PersonDisabled { person: id }, PersonEnabled { person: id });
        let event: &dyn Audited = if disabled { &out } else { &in_ };
        Ok(store.disable_person(id, disabled, Witness::new(&shell::actor(), event)).await?)
    })?;
    say(if disabled { "nobody gets in as them any more" } else { "they may sign in again" });
    Ok(Exit::Good)
}

fn reset(args: &Reset, global: &Global) -> anyhow::Result<Exit> {
    let first = first_password(args.password_stdin, &args.login)?;
    let hashed = hash(&first, Cost::OWASP)?;
    let good_for = with_store(global, async |context, store| {
        let person = found(store, &args.login).await?;
        let anew = Anew { hash: &hashed, until: until(context), codes: args.codes, provider: args.provider };
        access::reset(store, &shell::actor(), &person, &anew).await?;
        Ok(context.config().console.first_password)
    })?;
    show_first(&first, good_for, args.password_stdin, &args.login, args.output.json)
}

fn give(args: &Give, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let id = found(store, &args.login).await?.known.id;
        let reach = reach(store, args.role, &args.organization).await?;
        let event = RoleGiven { person: id, organizations: args.organization.len(), role: args.role };
        Ok(store.set_role(id, args.role, &reach, Witness::new(&shell::actor(), &event)).await?)
    })?;
    say(&format!("{} is {} now, and signs in anew", args.login, args.role));
    Ok(Exit::Good)
}

async fn found(store: &Store, login: &str) -> anyhow::Result<Person> {
    let found = store.person_called(login).await?;
    found.with_context(|| format!("nobody signs in as {login:?}; postern user list shows who does"))
}

/// Whose rows somebody in this role sees.
async fn reach(store: &Store, role: Role, slugs: &[String]) -> anyhow::Result<Reach> {
    match access::reach(store, role, slugs.iter().map(String::as_str)).await {
        Ok(reach) => Ok(reach),
        Err(error @ ReachError::Misfit(_)) => Err(error).context("--organization"),
        Err(error @ ReachError::Unknown(_)) => Err(anyhow::anyhow!("{error}; postern org list shows those there are")),
        Err(ReachError::Store(error)) => Err(error.into()),
    }
}

fn until(context: &Context) -> crate::domain::Timestamp {
    context.clock.now().plus(context.config().console.first_password.0)
}

/// A password nobody has seen: 100 random bits; or the one line of standard input.
pub(super) fn first_password(from_stdin: bool, login: &str) -> anyhow::Result<Zeroizing<String>> {
    if from_stdin {
        let mut given = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut given).context("cannot read standard input")?;
        let given = Zeroizing::new(given.trim_end_matches(['\n', '\r']).to_owned());
        password::check(&given, login).map_err(|why| anyhow::anyhow!("the password {why}"))?;
        return Ok(given);
    }
    Ok(crypto::first_password()?)
}

fn show_first(first: &str, good_for: Span, from_stdin: bool, login: &str, as_json: bool) -> anyhow::Result<Exit> {
    if as_json {
        print_json(&json!({ "login": login, "first_password": (!from_stdin).then_some(first) }))?;
    } else if !from_stdin {
        print(&format!("{first}\n"))?;
    }
    say(&format!("the first password is good for {good_for}, and only to choose another; it is not shown again"));
    Ok(Exit::Good)
}
