//! `postern check-config`: what is in force, and where it came from.

use clap::Args;

use super::{
    Exit,
    context::{Context, Global, Output},
    print, say,
};
use crate::config::{ConfigError, sample};

/// What to show.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    /// Print the commented sample file instead
    #[arg(long, conflicts_with_all = ["variables", "json"])]
    sample: bool,
    /// Print the environment variables that set something, with their defaults, instead
    #[arg(long, conflicts_with = "json")]
    variables: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(check: &CheckConfig, global: &Global) -> anyhow::Result<Exit> {
    if check.sample {
        print(&sample::sample())?;
        return Ok(Exit::Good);
    }
    if check.variables {
        print(&sample::variables())?;
        return Ok(Exit::Good);
    }
    let loaded = match Context::load(global) {
        Ok(context) => context.loaded,
        // Nothing to check is a matter of set-up; a bad configuration is what was asked about.
        Err(error @ (ConfigError::None | ConfigError::Read { .. })) => return Err(error.into()),
        Err(error) => {
            say(&format!("error: {:#}", anyhow::Error::from(error)));
            return Ok(Exit::Bad);
        }
    };
    match &loaded.file {
        Some(file) => say(&format!("from the file {}", file.display())),
        None => say("from no file"),
    }
    for variable in &loaded.variables {
        say(&format!("from the environment: {variable}"));
    }
    let shown =
        if check.output.json { serde_json::to_string_pretty(&loaded.config)? + "\n" } else { toml::to_string(&loaded.config)? };
    print(&shown)?;
    Ok(Exit::Good)
}
