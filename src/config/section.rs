//! How a section is declared: each setting with its words, its type and its default, in one place.

use serde::Serialize;

/// A section that can describe itself.
pub(super) trait Section: Default + Serialize {
    /// Its settings.
    const DESCRIPTION: Description;
}

/// A section for people.
pub(super) struct Description {
    /// The name between the brackets.
    pub(super) name: &'static str,
    /// What it is about, line by line.
    pub(super) about: &'static [&'static str],
    /// Its settings, in order.
    pub(super) settings: &'static [Setting],
    /// Its defaults as TOML; a setting without one is absent.
    pub(super) defaults: fn() -> toml::Table,
}

/// A setting for people.
pub(super) struct Setting {
    /// Its key.
    pub(super) name: &'static str,
    /// What it does, line by line.
    pub(super) about: &'static [&'static str],
    /// A value to show when there is no default.
    pub(super) example: Option<&'static str>,
}

impl Description {
    /// What `setting` is set to when nobody says otherwise.
    pub(super) fn default_of(&self, setting: &str) -> Option<toml::Value> {
        (self.defaults)().remove(setting)
    }
}

/// The defaults of `S` as TOML.
pub(super) fn defaults<S: Section>() -> toml::Table {
    toml::Table::try_from(S::default()).unwrap_or_default()
}

/// Declares a section: the struct, its defaults and its description.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        [$section:literal] $name:ident {
            $($(#[doc = $doc:literal])+ $setting:ident: $type:ty = $default:expr $(; for example $example:literal)?,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $setting: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($setting: $default,)+ }
            }
        }

        impl $crate::config::section::Section for $name {
            const DESCRIPTION: $crate::config::section::Description = $crate::config::section::Description {
                name: $section,
                about: &[$($about),+],
                settings: &[$($crate::config::section::Setting {
                    name: stringify!($setting),
                    about: &[$($doc),+],
                    example: [$(Some($example),)? None][0],
                }),+],
                defaults: $crate::config::section::defaults::<$name>,
            };
        }
    };
}
pub(super) use section;
