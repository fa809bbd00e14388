//! Finding and reading the file: the one named, else `POSTERN_CONFIG`, else `./postern.toml`.

use std::path::{Path, PathBuf};

use toml::Table;

use super::{Config, ConfigError, environment, error::Mistake};

/// The file that is looked for when none is named.
pub const FILE_NAME: &str = "postern.toml";

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The file, when there was one.
    pub file: Option<PathBuf>,
    /// The environment variables that set something.
    pub variables: Vec<String>,
}

/// Reads the configuration file `named` (else `./postern.toml`) and puts `variables` over it.
///
/// # Errors
/// [`ConfigError`]: a mistake in the file comes with its line and a caret; no error shows a secret.
pub fn load(named: Option<&Path>, variables: &[(String, String)]) -> Result<Loaded, ConfigError> {
    let file = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(FILE_NAME)).filter(|path| path.exists()),
    };
    if file.is_none() && !variables.iter().any(|(name, _)| name.starts_with(environment::PREFIX)) {
        return Err(ConfigError::None);
    }
    let text = match &file {
        Some(path) => std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.clone(), cause })?,
        None => String::new(),
    };
    let mistake = |error: &toml::de::Error| ConfigError::Mistake {
        path: file.clone().unwrap_or_default(),
        mistake: Mistake::new(&text, error.span(), error.message()),
    };
    // First the file alone, so that its mistakes are reported where they are.
    toml::from_str::<Config>(&text).map_err(|error| mistake(&error))?;
    let mut table = toml::from_str::<Table>(&text).map_err(|error| mistake(&error))?;
    let used = environment::overlay(&mut table, variables)?;
    let mut config: Config = table.try_into().map_err(|error: toml::de::Error| mistake(&error))?;

    let folder = match &file {
        Some(path) => std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)),
        None => std::env::current_dir().ok(),
    };
    config.paths_from(&folder.unwrap_or_default());
    let problems = config.problems();
    if problems.is_empty() { Ok(Loaded { config, file, variables: used }) } else { Err(ConfigError::Problems { problems }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn with(text: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
            Self(dir)
        }

        fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, String> {
            let variables: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let error = |e: ConfigError| e.to_string().replace(&self.0.path().display().to_string(), "DIR");
            load(Some(&self.0.path().join(FILE_NAME)), &variables).map_err(error)
        }
    }

    #[test]
    fn a_typing_slip_is_shown_with_its_line_and_a_caret() {
        let error = Place::with("[web]\nlisten = \"127.0.0.1:1\"\n\tlisten_on = 1\n").load(&[]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        DIR/postern.toml:3:2: unknown field `listen_on`, expected one of `listen`, `body_bytes`, `request_timeout`, `header_timeout`, `idle_timeout`, `upload_silence`, `upload_rate`, `connections`, `uploads`, `uploads_per_organization`, `probes`, `probes_per_organization`, `probes_per_minute`, `upload_memory`, `upload_memory_per_organization`
          |
        3 | 	listen_on = 1
          | 	^^^^^^^^^
        ");
    }

    #[test]
    fn a_value_of_the_wrong_kind_says_what_to_write() {
        let error = Place::with("[worker]\nlease = \"10\"").load(&[]).unwrap_err();
        assert!(error.contains("2:9: is not a length of time like 90s"), "{error}");
        let error = Place::with("[worker]\nlease = \"1s\"\nretry_min = \"2h\"").load(&[]).unwrap_err();
        assert!(error.contains("worker.lease") && error.contains("worker.retry_min"), "{error}");
        let error = Place::with("[test]\ntest_domains = [\"\"]\n[limits]\npdf_bytes = 9_000_001").load(&[]).unwrap_err();
        assert!(error.contains("test.test_domains") && error.contains("web.body_bytes"), "{error}");
        let error = Place::with("[nothing]").load(&[]).unwrap_err();
        assert!(error.contains("unknown field `nothing`"), "{error}");
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        for text in [
            "[store]\nurl = \"mysql://u:hunter2@x\"",
            "[store]\nurl = \"postgres://u:hunter2@x",
            "[keys]\nmaster = hunter2",
            "\nstore = { url = \"mysql://u:hunter2@x\" }",
        ] {
            let error = Place::with(text).load(&[]).unwrap_err();
            assert!(!error.contains("hunter2") && error.contains("DIR/postern.toml:2"), "{error}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_which_wins_over_defaults() {
        let place = Place::with("[worker]\nbatch = 5\nconcurrency = 7\n");
        let loaded = place.load(&[("POSTERN__WORKER__BATCH", "1_000"), ("PATH", "x"), ("POSTERN_LOG", "x")]).unwrap();
        assert_eq!((loaded.config.worker.batch, loaded.config.worker.concurrency), (1000, 7));
        assert_eq!(loaded.config.limits.pdf_bytes, 7_000_000);
        assert_eq!(loaded.variables, ["POSTERN__WORKER__BATCH"]);
        let loaded = place.load(&[("POSTERN__TEST__TEST_DOMAINS", "a.test, b.test")]).unwrap();
        assert_eq!(loaded.config.test.test_domains, ["a.test", "b.test"]);
    }

    #[test]
    fn a_secret_can_come_from_a_file() {
        let place = Place::with("");
        let path = place.0.path().join("url");
        std::fs::write(&path, "postgres://u:123@db/x\n").unwrap();
        let file = path.to_str().unwrap();
        let loaded = place.load(&[("POSTERN__STORE__URL_FILE", file)]).unwrap();
        assert_eq!(loaded.config.store.url.expose(), "postgres://u:123@db/x");
        let twice = place.load(&[("POSTERN__STORE__URL_FILE", file), ("POSTERN__STORE__URL", "sqlite:x")]).unwrap_err();
        assert!(twice.contains("already"), "{twice}");
        assert!(place.load(&[("POSTERN__STORE__URL_FILE", "/nowhere")]).unwrap_err().contains("/nowhere"));
        // A setting whose own name ends in _file is itself.
        let loaded = place.load(&[("POSTERN__KEYS__MASTER_FILE", "/run/key")]).unwrap();
        assert_eq!(loaded.config.keys.master_file, Path::new("/run/key"));
    }

    #[test]
    fn a_variable_that_sets_nothing_or_cannot_be_read_is_an_error_that_names_it() {
        let place = Place::with("");
        let error = |name, value| place.load(&[(name, value)]).unwrap_err();
        assert_eq!(
            error("POSTERN__WORKER__BATHC", "1"),
            "the environment variable POSTERN__WORKER__BATHC sets nothing; did you mean POSTERN__WORKER__BATCH?"
        );
        assert!(error("POSTERN__WORKER__BATCH", "many").ends_with("POSTERN__WORKER__BATCH: is not a whole number"));
        assert!(error("POSTERN__WORKER__BATCH", "-1").contains("POSTERN__WORKER__BATCH: "));
        assert!(error("POSTERN__LOG__FORMAT", "xml").contains("'xml' is not one of text, json"));
        let secret = error("POSTERN__STORE__URL", "mysql://u:hunter2@x");
        assert!(!secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let place = Place::with("[blobs]\nfolder = \"/var/blobs\"\n");
        let config = place.load(&[]).unwrap().config;
        assert_eq!(config.keys.master_file, place.0.path().join("keys/master.key"));
        assert_eq!(config.store.url.sqlite_file(), Some(place.0.path().join("postern.db")));
        assert_eq!(config.blobs.folder, Path::new("/var/blobs"));
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let missing = load(Some(Path::new("/nowhere/postern.toml")), &[]);
        assert!(matches!(missing, Err(ConfigError::Read { .. })), "{missing:?}");
    }
}
