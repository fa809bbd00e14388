//! `[[identity]]`: the Direct addresses the installation itself sends from, for organizations that have none.

use std::path::Path;

use super::relay::RelaySettings;
use crate::domain::organization::{IdentityFile, SendMode, identity_problems};

/// What the sample file says about them.
pub(super) const SAMPLE: &str = "\
# The addresses the installation itself sends from, for organizations without an [[identity]] of their own. The first is used
# unless a site names another by its `identity`. Same keys as in an organization file; the files are read at start.
# Mail for them is kept once and opened as that of the organization whose message it names; what names none is nobody's.
#   [[identity]]
#   address = \"results@direct.gateway.example\"
# sta_relay and sta_mx sign with a certificate and key; edge logs in with a password_file.
#   mode = \"sta_relay\"
#   relay = \"hisp-a\"
#   certificate_file = \"keys/results.pem\"
#   key_file = \"keys/results.key\"
";

/// Makes paths that are not absolute count from `folder`, where the configuration file is.
pub(super) fn paths_from(identity: &mut IdentityFile, folder: &Path) {
    for file in [&mut identity.certificate_file, &mut identity.key_file, &mut identity.password_file] {
        *file = file.take().map(|name| folder.join(name).to_string_lossy().into_owned());
    }
}

/// Every problem.
pub(super) fn problems(identities: &[IdentityFile], relays: &[RelaySettings]) -> Vec<String> {
    let mut problems: Vec<String> = identity_problems(identities).iter().map(ToString::to_string).collect();
    for (i, identity) in identities.iter().enumerate().filter(|(_, identity)| identity.mode != SendMode::Edge) {
        if identity.key.is_some() {
            problems.push(format!("identity[{i}].key is for an organization's own: name the token's key in its file"));
        } else if identity.certificate_file.is_none() {
            problems.push(format!("identity[{i}].certificate_file and key_file are needed: we sign with them"));
        }
    }
    for (i, identity) in identities.iter().enumerate() {
        if let Some(name) = identity.relay.as_ref().filter(|name| !relays.iter().any(|relay| relay.name == **name)) {
            problems.push(format!("identity[{i}].relay names {name:?}, and there is no [[relay]] of that name"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn an_identity_needs_a_relay_that_is_there_and_what_its_mode_proves_itself_with() {
        let text = "[[relay]]\nname = \"a\"\nhost = \"h.example\"\n\
            [[identity]]\naddress = \"x@d.example\"\nmode = \"edge\"\nrelay = \"b\"\n\
            [[identity]]\naddress = \"X@d.example\"\nmode = \"sta_relay\"\nrelay = \"a\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(
            problems(&config.identity, &config.relay),
            [
                "identity[1].address is used twice",
                "identity[1].certificate_file and key_file are needed: we sign with them",
                "identity[0].relay names \"b\", and there is no [[relay]] of that name",
            ]
        );
    }

    #[test]
    fn its_files_count_from_the_folder_of_the_configuration() {
        let text = "address = \"x@d.example\"\nmode = \"sta_mx\"\ncertificate_file = \"keys/x.pem\"\nkey_file = \"/run/x.key\"\n";
        let mut identity: IdentityFile = toml::from_str(text).unwrap();
        paths_from(&mut identity, Path::new("/etc/postern"));
        assert_eq!(identity.certificate_file.as_deref(), Some("/etc/postern/keys/x.pem"));
        assert_eq!(identity.key_file.as_deref(), Some("/run/x.key"));
    }
}
