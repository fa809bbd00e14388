//! `postern init`: a folder with a commented configuration and a master key.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Exit, say};
use crate::{
    config::{keys::KeysSection, load::FILE_NAME, sample::sample},
    crypto::MasterKey,
};

/// Which folder.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder; made when it does not exist
    dir: PathBuf,
}

pub(crate) fn run(init: &Init) -> anyhow::Result<Exit> {
    let file = init.dir.join(FILE_NAME);
    let key = init.dir.join(KeysSection::default().master_file);
    // A key that is overwritten takes everything it encrypted with it.
    for path in [&file, &key] {
        match path.symlink_metadata() {
            Ok(_) => bail!("{} exists; nothing was changed", path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("looking for {}", path.display())),
        }
    }
    let private = |path: &Path| {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("making the folder {}", path.display()))
    };
    private(key.parent().unwrap_or(&init.dir))?;
    MasterKey::generate()?.create_file(&key)?;
    if let Err(error) = write_private(&file, &sample()) {
        // Nothing is encrypted with it yet, and it would be in the way of the next try.
        let _ = std::fs::remove_file(&key);
        return Err(error).with_context(|| format!("writing {}", file.display()));
    }
    say(&format!(
        "\
Made {file}  every setting, with its default
     {key}  encrypts everything at rest: keep a copy in another safe place

Next:
  postern -c {file} check-config  shows what is in force
  postern -c {file} doctor        tests it, and says what to fix
  postern -c {file} serve         runs the gateway",
        file = file.display(),
        key = key.display(),
    ));
    Ok(Exit::Good)
}

/// Writes a new file that only its owner may read: it will hold passwords some day.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
