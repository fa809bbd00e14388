//! `postern trust publish`: what to put into DNS or LDAP, so that others find our certificates.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{Global, Output, Whose, scope, with_store},
        print, say,
        table::print_json,
    },
    domain::{DirectAddress, organization::SendMode},
    trust::{
        Certificate,
        publish::{Publication, base_of, publications},
    },
};

#[derive(Debug, Args)]
pub(super) struct Publish {
    #[command(flatten)]
    whose: Whose,
    /// In which form
    #[arg(long, value_enum, default_value = "zone")]
    form: Form,
    /// Below which entry of your LDAP directory; without it the domain's, dc=direct,dc=lab,dc=example
    #[arg(long, value_name = "DN")]
    base: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// CERT records for a BIND zone file
    Zone,
    /// The same for name servers that do not know the type CERT (RFC 3597)
    Type37,
    /// Entries for an LDAP directory
    Ldif,
}

pub(super) fn run(args: &Publish, global: &Global) -> anyhow::Result<Exit> {
    let (organizations, now) = with_store(global, async |context, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.organizations(scope).await?, context.clock.now()))
    })?;
    let (mut all, mut domains, mut problems) = (Vec::<(DirectAddress, Publication)>::new(), BTreeSet::new(), 0);
    for identity in organizations.iter().flat_map(|organization| &organization.identities) {
        // In edge mode the HISP has the certificate, and publishes it.
        let (Some(pem), SendMode::StaRelay | SendMode::StaMx) = (&identity.certificate, identity.mode) else { continue };
        domains.insert(identity.address.domain_key());
        match Certificate::read_all(pem.as_bytes()).and_then(|read| publications(&identity.address, &read, now)) {
            Ok(found) => all.extend(found.into_iter().map(|one| (identity.address.clone(), one))),
            Err(error) => {
                problems += 1;
                say(&format!("{}: nothing can be published: {error}", identity.address));
            }
        }
    }
    // Identities of one domain may share its certificate.
    let mut seen = BTreeSet::new();
    all.retain(|(_, one)| seen.insert((one.name.clone(), one.certificate.fingerprint())));
    let base = |one: &Publication| args.base.clone().unwrap_or_else(|| base_of(one.about.rsplit('@').next().unwrap_or_default()));
    if args.output.json {
        let rows: Vec<_> = all
            .iter()
            .map(|(address, one)| {
                json!({ "identity": address, "about": one.about, "name": one.name, "zone": one.zone(),
                        "type37": one.zone_type37(), "ldif": one.ldif(&base(one)) })
            })
            .collect();
        print_json(&rows)?;
    } else {
        let texts = all.iter().map(|(_, one)| match args.form {
            Form::Zone => one.zone(),
            Form::Type37 => one.zone_type37(),
            Form::Ldif => one.ldif(&base(one)) + "\n",
        });
        print(&texts.collect::<String>())?;
        advise(args.form, &domains);
    }
    if all.is_empty() && problems == 0 {
        say("there is no identity that seals here; in edge mode the HISP publishes the certificate");
    }
    Ok(if problems > 0 { Exit::Bad } else { Exit::Good })
}

fn advise(form: Form, domains: &BTreeSet<String>) {
    if form == Form::Ldif && !domains.is_empty() {
        say("The directory must let anybody read mail and userCertificate, and DNS must name it:");
        for domain in domains {
            say(&format!("  _ldap._tcp.{domain}. 3600 IN SRV 0 0 389 ldap.{domain}."));
        }
    }
    if !domains.is_empty() {
        say("When it is done, postern doctor looks it up as a stranger would.");
    }
}
