//! Runs the `postern` command as a person would, with nothing of this machine's environment.

use std::{path::Path, process::Command};

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    /// Data.
    pub(crate) out: String,
    /// Talk.
    pub(crate) err: String,
}

/// The command in the folder `dir`, ready to be given arguments and variables.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.current_dir(dir).env_clear().env("COLUMNS", "100");
    command
}

/// Runs `postern ARGS` in the folder `dir`.
pub(crate) fn postern(dir: &Path, args: &[&str]) -> Ran {
    run(command(dir).args(args))
}

/// Runs what [`command`] prepared.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the command runs");
    Ran {
        code: output.status.code().expect("the command ends by itself"),
        out: String::from_utf8(output.stdout).expect("data is UTF-8"),
        err: String::from_utf8(output.stderr).expect("talk is UTF-8"),
    }
}
