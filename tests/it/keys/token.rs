//! Keys on a PKCS#11 token: SoftHSM, each test with a token of its own.

use std::{path::Path, process::Command, sync::Arc};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    object::{Attribute, ObjectClass},
    session::UserType,
    types::AuthPin,
};
use postern::{
    crypto::token::{TokenError, TokenUri, Tokens},
    domain::{DirectAddress, identity::KeyUse, profile::Profile},
    seal::{Inner, Opening, Own, OwnKey, Seal, Sealer, Signer as _, TokenSigner, belongs, open},
    trust::{
        Anchors, Policy, RecipientCertificate,
        authority::{Authority, Binding, Issued, KeyKind, Order, Usage},
    },
};

use super::bench::{ADDRESS, authority, now, openssl, order};
use crate::{
    admin::world::World,
    support::{
        command::{command, run},
        installation::Installation,
    },
};

const PEER: &str = "pcp@direct.clinic.example";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "73519";

/// A token named `Postern` under `dir`, with these keys by label. Their private halves are marked as never leaving.
fn token(dir: &Path, keys: &[(&str, &Issued)]) {
    assert!(Path::new(MODULE).exists(), "SoftHSM is missing: run scripts/test, which installs softhsm2");
    std::fs::create_dir(dir.join("tokens")).unwrap();
    let config =
        format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", dir.join("tokens").display());
    std::fs::write(dir.join("softhsm2.conf"), config).unwrap();
    std::fs::write(dir.join("pin"), format!("{PIN}\n")).unwrap();
    std::fs::set_permissions(dir.join("pin"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    softhsm(dir, &["--init-token", "--free", "--label", "Postern", "--so-pin", "12345678", "--pin", PIN]);
    for (number, (label, issued)) in keys.iter().enumerate() {
        std::fs::write(dir.join("import.key"), issued.key_pem().unwrap()).unwrap();
        let id = format!("{:02x}", number + 1);
        softhsm(dir, &["--import", "import.key", "--token", "Postern", "--label", label, "--id", &id, "--pin", PIN]);
    }
    std::fs::remove_file(dir.join("import.key")).ok();
}

fn softhsm(dir: &Path, args: &[&str]) {
    let ran = Command::new("softhsm2-util")
        .args(args)
        .current_dir(dir)
        .env("SOFTHSM2_CONF", dir.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

/// The module reads where its tokens are from the environment of the process, once; so everything that loads it into this
/// process is in one test, which runs itself again in a process of its own.
#[test]
fn a_token_signs_and_opens_what_openssl_verifies_and_seals() {
    const MARK: &str = "POSTERN_TEST_TOKEN";
    if let Some(dir) = std::env::var_os(MARK) {
        in_a_process_of_its_own(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys::token::a_token_signs_and_opens_what_openssl_verifies_and_seals", "--nocapture"])
        .env(MARK, dir.path())
        .env("SOFTHSM2_CONF", dir.path().join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}

fn in_a_process_of_its_own(dir: &Path) {
    let ca = authority("CA");
    let own = |key| ca.issue(&Order { key, ..order(ADDRESS, Usage::Dual, 1, 300) }).unwrap();
    let kinds = [("rsa", own(KeyKind::Rsa(2048))), ("p256", own(KeyKind::P256)), ("p384", own(KeyKind::P384))];
    let keys: Vec<(&str, &Issued)> = kinds.iter().map(|(label, issued)| (*label, issued)).collect();
    token(dir, &keys);
    // First: a login holds for the whole process.
    refused(dir);
    let tokens = Tokens::load(Path::new(MODULE), Some(&dir.join("pin"))).unwrap();
    // Imported by softhsm2-util, a curve may sign alone.
    let forbidden = tokens.key("pkcs11:object=p256".parse().unwrap()).unwrap();
    let error = belongs(&forbidden, &kinds[1].1.certificate, KeyUse::Encrypt).unwrap_err();
    assert!(error.to_string().contains("cannot agree on a key"), "{error}");
    let _module = let_curves_agree();
    let key = |label: &str| tokens.key(format!("pkcs11:token=Postern;object={label}").parse().unwrap());
    for (label, issued) in &kinds {
        let on_token = Arc::new(key(label).unwrap());
        for used_for in [KeyUse::Sign, KeyUse::Encrypt] {
            belongs(&on_token, &issued.certificate, used_for).unwrap_or_else(|error| panic!("{label} {used_for}: {error}"));
        }
        let signer = TokenSigner::new(issued.certificate.clone(), vec![], Arc::clone(&on_token)).unwrap();
        verifies(dir, &ca, issued, &signer);
        opens(dir, &ca, issued, OwnKey::Token(on_token));
    }
    strangers(&tokens, &kinds[0].1, &kinds[1].1, &kinds[2].1);
    many_threads(&tokens, &kinds[0].1);
}

/// Permits ECDH with the curves on the token, as a key made there would have it.
fn let_curves_agree() -> Pkcs11 {
    let module = Pkcs11::new(MODULE).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).ok();
    let session = module.open_rw_session(module.get_slots_with_initialized_token().unwrap()[0]).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN))).ok();
    for label in ["p256", "p384"] {
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
        let key = session.find_objects(&wanted).unwrap()[0];
        session.update_attributes(key, &[Attribute::Derive(true)]).unwrap();
    }
    drop(session);
    module
}

/// What is sealed with a key on the token verifies with `openssl cms`.
fn verifies(dir: &Path, ca: &Authority, issued: &Issued, signer: &TokenSigner) {
    let peer = ca.issue(&Order { key: KeyKind::Rsa(2048), ..order(PEER, Usage::Dual, 1, 300) }).unwrap();
    let to: DirectAddress = PEER.parse().unwrap();
    let recipient = RecipientCertificate::checked(peer.certificate.clone(), &to, now()).unwrap();
    let inner = format!(
        "From: {ADDRESS}\r\nTo: {PEER}\r\nDate: Thu, 15 Jan 2026 10:15:30 -0500\r\nMessage-ID: <a@lab.example>\r\n\
        Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nThe report.\r\n"
    );
    let mut sealed = Vec::new();
    let with = Seal { signer, recipient: &recipient, profile: Profile::default(), at: now() };
    Sealer::new().seal_inner(&Inner::parse(inner.as_bytes()).unwrap(), with, &mut sealed).unwrap();
    std::fs::write(dir.join("sealed.eml"), sealed).unwrap();
    std::fs::write(dir.join("peer.pem"), peer.certificate.pem().unwrap()).unwrap();
    std::fs::write(dir.join("peer.key"), peer.key_pem().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), ca.certificate().pem().unwrap()).unwrap();
    openssl(dir, "cms -decrypt -in sealed.eml -recip peer.pem -inkey peer.key -out signed.eml").unwrap();
    openssl(dir, "cms -verify -in signed.eml -CAfile ca.pem -purpose smimesign -signer signer.pem -out wrapped.eml").unwrap();
    assert!(std::fs::read_to_string(dir.join("wrapped.eml")).unwrap().contains("The report."));
    let signed_by = std::fs::read(dir.join("signer.pem")).unwrap();
    assert_eq!(postern::trust::Certificate::read_all(&signed_by).unwrap()[0], issued.certificate);
    assert_eq!(signer.certificate(), &issued.certificate);
}

/// What `openssl` seals to a key on the token opens.
fn opens(dir: &Path, ca: &Authority, issued: &Issued, key: OwnKey) {
    let sender = ca.issue(&order(PEER, Usage::Dual, 1, 300)).unwrap();
    std::fs::write(dir.join("sender.pem"), sender.certificate.pem().unwrap()).unwrap();
    std::fs::write(dir.join("sender.key"), sender.key_pem().unwrap()).unwrap();
    std::fs::write(dir.join("us.pem"), issued.certificate.pem().unwrap()).unwrap();
    let headers = format!("From: {PEER}\r\nTo: {ADDRESS}\r\nMessage-ID: <a@direct.clinic.example>\r\n");
    let inner = format!(
        "Content-Type: message/rfc822\r\n\r\n{headers}Date: Thu, 15 Jan 2026 10:15:30 -0500\r\nSubject: x\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nAn answer.\r\n"
    );
    std::fs::write(dir.join("inner.eml"), inner).unwrap();
    openssl(dir, "cms -sign -in inner.eml -crlfeol -md sha256 -signer sender.pem -inkey sender.key -out signed.eml").unwrap();
    let ways: &[&str] = if issued.certificate.key_words().starts_with("RSA") {
        &["", "-keyopt rsa_padding_mode:oaep"]
    } else {
        &["", "-keyopt ecdh_kdf_md:sha256"]
    };
    let own = [Own { certificate: issued.certificate.clone(), key }];
    let anchors = Anchors::new(vec![ca.certificate().clone()]);
    let policy = Policy::new(&anchors, &[]);
    let to: DirectAddress = ADDRESS.parse().unwrap();
    for way in ways {
        openssl(dir, &format!("cms -encrypt -binary -in signed.eml -aes-256-cbc -out body.eml -recip us.pem {way}")).unwrap();
        let message = [headers.as_bytes(), &std::fs::read(dir.join("body.eml")).unwrap()].concat();
        let opening = Opening { own: &own, policy, at: now(), rcpt: Some(&to) };
        let opened = open(&message, opening).unwrap_or_else(|error| panic!("{way}: {error}"));
        assert!(String::from_utf8_lossy(opened.inner()).contains("An answer."));
        // Changed on the way, it is as unreadable as with a key in memory, and says no more.
        let place = message.len() - 400;
        let mut changed = message.clone();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert!(open(&changed, Opening { own: &own, policy, at: now(), rcpt: Some(&to) }).is_err());
    }
}

fn strangers(tokens: &Tokens, rsa: &Issued, p256: &Issued, p384: &Issued) {
    let problem = |uri: &str| tokens.key(uri.parse().unwrap()).unwrap_err().to_string();
    assert!(problem("pkcs11:token=Postern;object=nobody").contains("there is no private key"));
    assert!(problem("pkcs11:token=Other;object=rsa").contains("there is no token"));
    assert!(problem("pkcs11:token=Postern;object=rsa;id=%63").contains("there is no private key"));
    let key = tokens.key("pkcs11:token=Postern;object=rsa;id=%01;type=private".parse::<TokenUri>().unwrap()).unwrap();
    for stranger in [p256, p384] {
        for used_for in [KeyUse::Sign, KeyUse::Encrypt] {
            assert!(belongs(&key, &stranger.certificate, used_for).is_err(), "{used_for}");
        }
    }
    let other = authority("Other").issue(&Order { key: KeyKind::Rsa(2048), ..order(ADDRESS, Usage::Dual, 1, 9) }).unwrap();
    for used_for in [KeyUse::Sign, KeyUse::Encrypt] {
        let error = belongs(&key, &other.certificate, used_for).unwrap_err().to_string();
        assert!(error.contains("does not belong"), "{error}");
        belongs(&key, &rsa.certificate, used_for).unwrap();
    }
}

fn many_threads(tokens: &Tokens, rsa: &Issued) {
    let key = tokens.key("pkcs11:token=Postern;object=rsa".parse().unwrap()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| belongs(&key, &rsa.certificate, KeyUse::Both).unwrap()));
        }
    });
}

/// A token locks itself after a few wrong PINs, so a wrong one is tried once and never again.
fn refused(dir: &Path) {
    std::fs::write(dir.join("wrong"), "00000").unwrap();
    std::fs::set_permissions(dir.join("wrong"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let module = Pkcs11::new(MODULE).unwrap();
    let wrong = Tokens::load(Path::new(MODULE), Some(&dir.join("wrong"))).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    // SoftHSM marks a token after a wrong PIN until the next right one.
    let marked = || module.get_token_info(slot).unwrap().user_pin_count_low();
    let try_it = || wrong.key("pkcs11:object=rsa".parse().unwrap());
    assert!(!marked());
    assert!(matches!(try_it(), Err(TokenError::PinRefused)));
    assert!(marked());
    let session = module.open_ro_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(PIN))).unwrap();
    session.logout().unwrap();
    assert!(!marked());
    assert!(matches!(try_it(), Err(TokenError::PinRefused)));
    assert!(!marked(), "the wrong PIN was tried again");

    std::fs::set_permissions(dir.join("wrong"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = Tokens::load(Path::new(MODULE), Some(&dir.join("wrong")));
    assert!(matches!(open, Err(TokenError::PinOpen { mode: 0o644, .. })), "{open:?}");
    assert!(matches!(Tokens::load(Path::new("/nowhere.so"), None), Err(TokenError::Module { .. })));
}

#[test]
fn an_identity_with_its_key_on_a_token_is_imported_by_its_uri_and_never_holds_the_key() {
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    let ca = authority("CA");
    let own = ca.issue(&Order { key: KeyKind::Rsa(2048), ..order(ADDRESS, Usage::Dual, 1, 300) }).unwrap();
    let dir = world.dir.path();
    token(dir, &[("results", &own)]);
    world.write("own.pem", own.certificate.pem().unwrap());
    world.write(
        "other.pem",
        ca.issue(&Order { key: KeyKind::Rsa(2048), ..order(ADDRESS, Usage::Dual, 1, 300) }).unwrap().certificate.pem().unwrap(),
    );
    let with = |configured: bool, args: &[&str]| {
        let mut command = command(dir);
        command.args(args).env("SOFTHSM2_CONF", dir.join("softhsm2.conf"));
        if configured {
            command.env("POSTERN__TOKEN__MODULE", MODULE).env("POSTERN__TOKEN__PIN_FILE", "pin");
        }
        run(&mut command)
    };
    let uri = "pkcs11:token=Postern;object=results";
    let import = |cert: &'static str, uri: &'static str| {
        ["trust", "identities", "import", "--organization", "north", "--address", ADDRESS, "--cert", cert, "--key", uri]
    };
    let unset = with(false, &import("own.pem", uri));
    assert!(unset.code == 1 && unset.err.contains("set module in [token]"), "{}", unset.err);
    let pin = with(true, &import("own.pem", "pkcs11:object=results?pin-value=73519"));
    assert!(pin.code == 1 && pin.err.contains("[token]") && !pin.err.contains(PIN), "{}", pin.err);
    let foreign = with(true, &import("other.pem", uri));
    assert!(foreign.code == 1 && foreign.err.contains("does not belong"), "{}", foreign.err);
    let good = with(true, &import("own.pem", uri));
    assert_eq!(good.code, 0, "{}", good.err);
    assert_eq!(world.json(&["trust", "identities", "list"])[0]["token"], uri);

    // The same from the organization file.
    let file = format!(
        "slug = \"north\"\nname = \"North\"\n[[identity]]\naddress = \"{ADDRESS}\"\nmode = \"sta_mx\"\ncertificate_file = \"own.pem\"\nkey = \"{uri}\"\n"
    );
    world.write("org.toml", file);
    let applied = with(true, &["org", "apply", "org.toml"]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    assert_eq!(with(true, &["org", "apply", "org.toml"]).err, "no changes\n");

    // A wrong PIN is refused; nothing says which it was.
    std::fs::write(dir.join("pin"), "00000").unwrap();
    let wrong = with(true, &import("own.pem", uri));
    assert!(wrong.code == 1 && wrong.err.contains("refused the PIN") && !wrong.err.contains("00000"), "{}", wrong.err);
    std::fs::set_permissions(dir.join("pin"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(with(true, &import("own.pem", uri)).err.contains("chmod 600"));
}

/// The whole way: a running gateway, whose key never leaves its token, and a recipient who verifies with `openssl cms`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_sends_with_a_key_on_a_token_and_openssl_verifies_what_arrives() {
    let mut installation = Installation::open("", None).await;
    let dir = installation.dir.path().to_owned();
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let ca = Authority::from_pem(&read("hisp/keys/ca.pem"), &read("hisp/keys/ca.key")).unwrap();
    let now = postern::domain::Clock::now(&postern::observe::SystemClock);
    let address: DirectAddress = "results@direct.north.example".parse().unwrap();
    let from = now.minus(std::time::Duration::from_mins(1));
    let until = now.plus(std::time::Duration::from_hours(24 * 90));
    let own = ca.issue(&Order::new(Binding::Address(address.clone()), from, until)).unwrap();
    token(&dir, &[("results", &own)]);
    std::fs::write(dir.join("own.pem"), own.certificate.pem().unwrap()).unwrap();
    let configured = String::from_utf8(read("postern.toml")).unwrap();
    std::fs::write(dir.join("postern.toml"), format!("{configured}[token]\nmodule = \"{MODULE}\"\npin_file = \"pin\"\n"))
        .unwrap();
    installation.variables.push(("SOFTHSM2_CONF".into(), dir.join("softhsm2.conf").display().to_string()));
    let uri = "pkcs11:token=Postern;object=results";
    let import = ["trust", "identities", "import", "--organization", "north", "--address", address.as_str()];
    installation.postern(&[&import[..], &["--cert", "own.pem", "--key", uri]].concat());
    // The first key is gone: nothing can sign but the token.
    std::fs::remove_file(dir.join("north.key")).unwrap();

    let serving = installation.serve(None, None);
    installation.submit(&serving, 1, "pcp1").await.unwrap();
    installation.settled(1);
    assert_eq!(installation.states().get("accepted"), Some(&1), "{:?}", installation.states());
    let sealed = installation.sealed_to("pcp1");
    assert_eq!(super::identities::signer(&dir, &sealed), own.certificate, "openssl verifies, and it is the token's");
    let inner = std::fs::read_to_string(dir.join("wrapped.eml")).unwrap();
    assert!(inner.contains("From: results@direct.north.example") && inner.contains("application/xml"), "{inner:.2000}");
}
