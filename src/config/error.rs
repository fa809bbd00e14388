//! What can be wrong with a configuration.

use std::{fmt, ops::Range, path::PathBuf};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error(
        "no configuration: there is no ./postern.toml, none was named with --config, and no POSTERN__ variable is set; start with: postern init DIR"
    )]
    None,
    /// The file cannot be read.
    #[error("reading the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file says something that is not a setting.
    #[error("{}:{mistake}", path.display())]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        mistake: Mistake,
    },
    /// An environment variable sets nothing.
    #[error("the environment variable {variable} sets nothing{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// The nearest one that does.
        nearest: Option<String>,
    },
    /// An environment variable has a value its setting cannot take.
    #[error("the environment variable {variable}: {problem}")]
    BadVariable {
        /// Its name.
        variable: String,
        /// What is wrong; never the value.
        problem: String,
    },
    /// The file an environment variable names cannot be read.
    #[error("reading {}, which the environment variable {variable} names", path.display())]
    VariableFile {
        /// Its name.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Settings that do not go together.
    #[error("{}", problems.join("; "))]
    Problems {
        /// Each with the name of its setting.
        problems: Vec<String>,
    },
}

/// A mistake in the file: line, column, the line itself and a caret below it.
#[derive(Debug)]
pub struct Mistake {
    line: usize,
    column: usize,
    text: String,
    width: usize,
    message: String,
}

impl Mistake {
    pub(super) fn new(source: &str, span: Option<Range<usize>>, message: &str) -> Self {
        let Range { start, end } = span.unwrap_or(0..0);
        let before = source.get(..start).unwrap_or_default();
        let from = before.rfind('\n').map_or(0, |at| at + 1);
        let text = source[from..].lines().next().unwrap_or_default();
        let rest = text.len().saturating_sub(start - from);
        let width = source.get(start..end.min(start + rest)).map_or(1, |marked| marked.chars().count().max(1));
        Self {
            line: before.matches('\n').count() + 1,
            column: before[from..].chars().count() + 1,
            text: without_secret(text),
            width,
            message: message.trim_end().to_owned(),
        }
    }
}

/// The line without what follows a setting that may be secret: errors end in logs.
fn without_secret(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let secret = ["url", "master", "password", "secret", "token", "key"].iter().filter_map(|word| lower.find(word)).min();
    let value = secret.and_then(|at| Some(at + line[at..].find('=')?));
    value.map_or_else(|| line.to_owned(), |at| format!("{}= ...", &line[..at]))
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text, width, message } = self;
        let margin = " ".repeat(line.to_string().len());
        // Tabs stay tabs, so that the caret stands below what it means.
        let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let indent = format!("{indent:column$}", column = column - 1);
        writeln!(f, "{line}:{column}: {message}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{margin} | {indent}{}", "^".repeat(*width))
    }
}
