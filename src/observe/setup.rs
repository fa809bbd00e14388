//! Sets logging up: one line for each event to stderr, as text for people or as JSON.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    sync::Arc,
};

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt::MakeWriter, util::TryInitError};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The filter says nothing that can be followed.
    #[error("the log filter '{filter}' is not like info or info,postern::send=debug")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        #[source]
        cause: ParseError,
    },
    /// Somebody has started logging in this process.
    #[error("starting the log")]
    Started(#[source] TryInitError),
}

/// Starts logging at the levels `filter` allows, once in a process.
///
/// # Errors
/// [`SetupError`].
pub fn log(json: bool, filter: &str) -> Result<(), SetupError> {
    start(json, filter, io::stderr().is_terminal(), io::stderr)?;
    hide_what_panics_say();
    Ok(())
}

/// Starts logging into a file instead, as text: for a command whose stderr is for people.
///
/// # Errors
/// [`SetupError`].
pub fn log_into(file: File, filter: &str) -> Result<(), SetupError> {
    start(false, filter, false, Arc::new(file))
}

fn start<W>(json: bool, filter: &str, colors: bool, writer: W) -> Result<(), SetupError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    use tracing_subscriber::util::SubscriberInitExt as _;

    let levels = EnvFilter::try_new(filter).map_err(|cause| SetupError::Filter { filter: filter.to_owned(), cause })?;
    let lines = tracing_subscriber::fmt().with_env_filter(levels).with_writer(writer).with_ansi(colors);
    let started = if json { lines.json().flatten_event(true).finish().try_init() } else { lines.finish().try_init() };
    started.map_err(SetupError::Started)
}

/// A panic is a defect, and what it says may quote the text it stumbled over: only its place is logged.
fn hide_what_panics_say() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(event = "defect", place, "A task stopped at a defect of the program; please report the place.");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_says_nothing_is_refused_and_logging_starts_once() {
        assert!(matches!(start(false, "info,=,", false, io::sink), Err(SetupError::Filter { .. })));
        start(true, "info,postern=debug", false, io::sink).unwrap();
        assert!(matches!(start(false, "info", false, io::sink), Err(SetupError::Started(_))));
    }
}
