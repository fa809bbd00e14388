//! `postern hisp certificate`: a key pair by the practice authority.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::Folder;
use crate::{
    cli::{Exit, say},
    domain::DirectAddress,
    observe::SystemClock,
    sandbox::practice::{Practice, write},
};

/// Issue a certificate and key for a Direct address or a whole domain
///
/// For an address (results@direct.lab.example): what an organization's identity signs with. For a domain
/// (direct.clinic.example): what the practice HISP itself opens that domain's mail with; the certificate is the one to
/// import as the recipient's. Valid for a year, believed wherever DIR/keys/ca.pem is an anchor, worth nothing elsewhere.
#[derive(Debug, Args)]
pub(crate) struct Certificate {
    #[command(flatten)]
    folder: Folder,
    /// Write FILE.pem and FILE.key; the key for its owner's eyes only
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The address or domain it is bound to
    #[arg(value_name = "ADDRESS|DOMAIN")]
    name: String,
}

pub(super) fn run(certificate: &Certificate) -> anyhow::Result<Exit> {
    let Certificate { folder, output, name } = certificate;
    let practice = Practice::open(&folder.dir.join("keys"), Arc::new(SystemClock)).context("opening the practice authority")?;
    let (pem, key) = if name.contains('@') {
        practice.identity(&name.parse::<DirectAddress>()?)?
    } else {
        // Parsed as an address has it, so that a slip is found here and not when a message is sent.
        let domain = format!("anyone@{name}").parse::<DirectAddress>().with_context(|| format!("'{name}' is not a domain"))?;
        practice.pair(&domain.domain_key())?
    };
    let file = |extension| output.with_added_extension(extension);
    write(&file("key"), key.as_bytes())?;
    write(&file("pem"), pem.as_bytes())?;
    say(&format!("{} and {} are for {name}", file("pem").display(), file("key").display()));
    Ok(Exit::Good)
}
