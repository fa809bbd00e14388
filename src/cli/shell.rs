//! Who is at the shell, and which command of theirs goes on record.

use std::fs;

use clap::ArgMatches;

use crate::{
    domain::{OrgId, audit::Actor},
    observe::{events::CommandRun, facts::Named},
};

/// The command that runs, without what it is about: that may be a patient's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    /// `delivery retry`.
    words: Vec<String>,
    /// The same in one.
    command: String,
    /// Of `--organization`.
    organization: String,
    /// Of `--name`.
    name: String,
}

/// Only looks, or puts on record by itself what it does.
const LOOKING: &[&str] = &["list", "show", "lookup", "explain", "worklist", "verify", "doctor", "probe", "publish"];
const BY_THEMSELVES: &[&str] = &["user", "token", "audit"];

impl Ran {
    /// What was typed.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut ran = Self::default();
        let mut inner = Some(matches);
        while let Some(here) = inner {
            let text = |name: &str| here.try_get_one::<String>(name).ok().flatten().cloned();
            ran.organization = text("organization").unwrap_or(ran.organization);
            ran.name = text("name").unwrap_or(ran.name);
            inner = here.subcommand().map(|(word, within)| {
                ran.words.push(word.to_owned());
                within
            });
        }
        ran.command = ran.words.join(" ");
        ran
    }

    /// Whether it changes something, or takes data out. A command nobody has thought of here does.
    fn goes_on_record(&self) -> bool {
        let is = |word: Option<&String>, words: &[&str]| word.is_some_and(|word| words.contains(&word.as_str()));
        !self.words.is_empty() && !is(self.words.first(), BY_THEMSELVES) && !is(self.words.last(), LOOKING)
    }

    /// The same, about the organization that a file names.
    pub(crate) fn about(&self, slug: &str) -> Self {
        Self { organization: slug.to_owned(), ..self.clone() }
    }

    /// What is put on record before it does anything, given the organization it is about.
    pub(crate) fn event(&self, org: Option<OrgId>) -> Option<CommandRun<'_>> {
        let (organization, name) = (Named(&self.organization), Named(&self.name));
        self.goes_on_record().then_some(CommandRun { org, command: Named(&self.command), organization, name })
    }

    /// The organization it names.
    pub(crate) fn organization(&self) -> Option<&str> {
        (self.goes_on_record() && !self.organization.is_empty()).then_some(&*self.organization)
    }
}

/// The user of this machine who runs the command; with sudo also who that is by day, as sudo says.
pub(crate) fn actor() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| uid.to_string());
    match std::env::var("SUDO_USER") {
        Ok(by_day) if uid == 0 => Actor::shell(uid, &format!("{name} (sudo: {by_day})")),
        _ => Actor::shell(uid, &name),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn ran(words: &[&str]) -> Ran {
        let leaf = |name: &'static str| Command::new(name).arg(Arg::new("organization").long("organization")).arg(Arg::new("id"));
        let command = Command::new("postern")
            .subcommand(Command::new("delivery").subcommands([leaf("list"), leaf("retry")]))
            .subcommand(Command::new("user").subcommand(leaf("add")));
        Ran::of(&command.get_matches_from([&["postern"], words].concat()))
    }

    #[test]
    fn what_changes_something_is_on_record_without_what_it_is_about() {
        let retry = ran(&["delivery", "retry", "--organization", "north", "secret"]);
        let said = format!("{:?}", retry.event(None).unwrap());
        assert!(said.contains("delivery retry") && said.contains("north") && !said.contains("secret"), "{said}");
        assert_eq!(retry.organization(), Some("north"));
        for looking in [&["delivery", "list"][..], &["user", "add"]] {
            assert!(ran(looking).event(None).is_none(), "{looking:?}");
        }
    }

    #[test]
    fn somebody_is_at_the_shell() {
        assert!(!actor().name.is_empty() && actor().id.parse::<u32>().is_ok());
    }
}
