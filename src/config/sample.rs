//! The commented sample file and the list of environment variables, printed from the declarations.

use std::fmt::Write as _;

use super::{
    SECTIONS, environment, identity, relay,
    section::{Description, Setting},
    source,
};

const HEAD: &str = "\
# The configuration of a Postern installation.
#
# Each setting below is shown with its default and commented out: take the # away to change it. Paths count from the
# folder this file is in. Lengths of time are written 90s, 60m, 24h or 7d.
#
# Any setting can come from the environment instead, which wins: POSTERN__STORE__URL sets url in [store], and
# POSTERN__STORE__URL_FILE reads it from a file, as secrets should be.
#
# Look at what is in force with: postern check-config
";

/// The sample file. As it stands it changes nothing.
#[must_use]
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.about);
        let _ = writeln!(text, "[{}]", section.name);
        for setting in section.settings {
            comment(&mut text, setting.about);
            let _ = writeln!(text, "#{} = {}", setting.name, value(section, setting));
        }
    }
    for part in [relay::SAMPLE, identity::SAMPLE, super::live_directory::SAMPLE, source::SAMPLE]
        .into_iter()
        .filter(|part| !part.is_empty())
    {
        let _ = write!(text, "\n{part}");
    }
    text
}

/// The environment variables, one on each line, with what they set and the default.
#[must_use]
pub fn variables() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        for setting in section.settings {
            let variable = environment::variable(section.name, setting.name);
            let _ = writeln!(text, "{variable} = {}", value(section, setting));
        }
    }
    text
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}

fn value(section: &Description, setting: &Setting) -> String {
    section.default_of(setting.name).map_or_else(|| setting.example.unwrap_or_default().to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_sample_and_the_variables_are_as_documented() {
        insta::assert_snapshot!("sample", sample());
        insta::assert_snapshot!("variables", variables());
    }

    #[test]
    fn the_sample_changes_nothing_and_neither_does_taking_the_comment_signs_away() {
        let default = toml::to_string(&Config::default()).unwrap();
        let read = |text: &str| toml::to_string(&toml::from_str::<Config>(text).unwrap()).unwrap();
        assert_eq!(read(&sample()), default);
        // These have no default: an example stands there.
        let example = |line: &&str| {
            ![
                "#master =",
                "#module =",
                "#pin_file =",
                "#listen = \"0.0.0.0:25\"",
                "#certificate_file =",
                "#key_file =",
                "#from =",
                "#relay =",
                "#webhook =",
                "#webhook_secret =",
                "#ca_file =",
                "#url = \"https",
                "#metering =",
                "#metering_secret =",
                "#issuer =",
                "#client_secret =",
            ]
            .iter()
            .any(|name| line.starts_with(name))
        };
        let shown = sample().lines().filter(example).fold(String::new(), |text, line| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
            text + setting.unwrap_or(line) + "\n"
        });
        assert!(shown.contains("\nurl = "));
        assert_eq!(read(&shown), default);
    }
}
