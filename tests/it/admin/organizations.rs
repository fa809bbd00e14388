//! `postern org`.

use std::os::unix::fs::PermissionsExt as _;

use postern::{
    domain::Timestamp,
    trust::authority::{Authority, Binding, Issued, KeyKind, Order},
};

use super::world::World;

const NORTH: &str = "\
slug = \"north\"
name = \"North Clinics\"
[[site]]
local_id = \"RIVERSIDE01\"
name = \"Riverside\"
[[identity]]
address = \"results@direct.lab.example\"
mode = \"edge\"
relay = \"hisp-a\"
password_file = \"password\"
[price]
rate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.25\" }]
";

fn north() -> (World, String) {
    let world = World::new();
    world.write("password", "hunter2\n");
    let file = world.write("north.toml", NORTH);
    (world, file)
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing_and_the_second_apply_changes_nothing() {
    let (world, file) = north();
    let dry = world.good(&["org", "apply", &file, "--dry-run"]);
    assert!(dry.out.contains("+ site[RIVERSIDE01].name: \"Riverside\"\n"), "{}", dry.out);
    assert!(dry.out.contains("+ price of direct from 2026-01-01: 0.25 USD, at accepted\n"), "{}", dry.out);
    assert!(dry.err.contains("dry run: nothing was changed"), "{}", dry.err);
    assert_eq!(world.json(&["org", "list"]), serde_json::json!([]));

    let applied = world.good(&["org", "apply", &file]);
    assert_eq!(applied.out, dry.out);
    assert!(applied.err.contains("no [[relay]] named \"hisp-a\""), "{}", applied.err);
    assert!(!format!("{applied:?}").contains("hunter2"));
    let again = world.good(&["org", "apply", &file]);
    assert_eq!((again.out.as_str(), again.err.lines().last()), ("", Some("no changes")));
    let again = world.json(&["org", "apply", &file]);
    assert_eq!((&again["applied"], &again["changes"]), (&false.into(), &serde_json::json!([])));
}

#[test]
fn a_change_is_shown_old_and_new_and_nothing_else_is() {
    let (world, file) = north();
    world.good(&["org", "apply", &file]);
    world.write("password", "hunter3\n");
    let changed = NORTH.replace("Riverside\"", "Riverside West\"").replace("0.25", "0.30");
    let ran = world.good(&["org", "apply", &world.write("north.toml", changed)]);
    insta::assert_snapshot!(ran.out, @r#"
    north
      ~ site[RIVERSIDE01].name: "Riverside" -> "Riverside West"
      ~ identity[results@direct.lab.example].password: (another) -> (not shown)
      ~ price of direct from 2026-01-01: 0.25 USD, at accepted -> 0.30 USD, at accepted
    "#);
    let shown = world.good(&["org", "show", "north"]).out;
    assert!(shown.contains("name = \"Riverside West\"") && !shown.contains("hunter"), "{shown}");
    // What is shown is an organization file again.
    let again = world.good(&["org", "apply", &world.write("north.toml", shown)]);
    assert!(again.err.ends_with("no changes\n"), "{}", again.err);
}

#[test]
fn a_price_that_is_no_longer_in_the_file_stays_in_force_and_that_is_said() {
    let (world, file) = north();
    world.good(&["org", "apply", &file]);
    let without = NORTH.split("[price]").next().unwrap();
    let ran = world.good(&["org", "apply", &world.write("north.toml", without)]);
    assert!(ran.err.contains("price of direct from 2026-01-01 is 0.25 USD, is not in the file, and stays"), "{}", ran.err);
    assert!(ran.err.ends_with("no changes\n"), "{}", ran.err);
    assert_eq!(world.json(&["org", "show", "north"])["prices"][0]["amount"], "0.25");
}

#[test]
fn a_typing_slip_is_shown_where_it_is_and_what_cannot_be_meant_is_listed_as_a_whole() {
    let world = World::new();
    let slip = world.write("north.toml", NORTH.replace("local_id", "localid"));
    insta::assert_snapshot!(world.bad(&["org", "apply", &slip]).err, @r#"
    error: north.toml:4:1: unknown field `localid`, expected one of `local_id`, `name`, `npi`, `phone`, `address`, `mode`, `target`, `identity`
      |
    4 | localid = "RIVERSIDE01"
      | ^^^^^^^
    "#);
    let twice = format!("{NORTH}[document]\ndocument_code = \"18748-5\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n");
    insta::assert_snapshot!(world.bad(&["org", "apply", &world.write("north.toml", twice)]).err, @r"
    error: north.toml:
      site[1].local_id is used twice
      document.document_code is not a LOINC code (its check digit does not match)
    ");
    let same_day = NORTH.replace("}]", "}, { from = \"2026-01-01\", fee_code = \"direct\", amount = \"9\" }]");
    assert!(world.bad(&["org", "apply", &world.write("north.toml", same_day)]).err.contains("price.rate[1].from"));
    assert_eq!(world.run(&["org", "apply", "nowhere.toml"]).code, 2);
    assert_eq!(world.run(&["org", "show", "north"]).code, 2);
}

const SIGNING: &str = "\
slug = \"north\"
name = \"North Clinics\"
[[identity]]
address = \"results@direct.lab.example\"
mode = \"sta_mx\"
certificate_file = \"own/results.pem\"
key_file = \"own/results.key\"
";

fn day(text: &str) -> Timestamp {
    postern::domain::time::TimeZone::utc().start_of(text.parse().unwrap())
}

fn issue(name: &str) -> Issued {
    let authority = Authority::new("Test CA", KeyKind::P256, day("2020-01-01"), day("2099-01-01")).unwrap();
    let binding = Binding::Address(name.parse().unwrap());
    authority.issue(&Order::new(binding, day("2020-01-01"), day("2099-01-01"))).unwrap()
}

#[test]
fn a_key_of_somebody_else_or_a_certificate_of_another_address_is_refused() {
    let world = World::new();
    std::fs::create_dir(world.path("own")).unwrap();
    let file = world.write("north.toml", SIGNING);
    let missing = world.bad(&["org", "apply", &file]);
    assert!(missing.err.contains("identity[0].certificate_file: cannot read own/results.pem"), "{}", missing.err);

    let (own, other) = (issue("results@direct.lab.example"), issue("other@direct.lab.example"));
    world.write("own/results.pem", own.certificate.pem().unwrap());
    world.write("own/results.key", other.key_pem().unwrap());
    assert!(world.bad(&["org", "apply", &file]).err.contains("does not belong to the certificate"));
    world.write("own/results.pem", other.certificate.pem().unwrap());
    assert!(world.bad(&["org", "apply", &file]).err.contains("not results@direct.lab.example or its domain"));
    assert_eq!(world.json(&["org", "list"]), serde_json::json!([]));

    world.write("own/results.pem", own.certificate.pem().unwrap());
    let key = world.write("own/results.key", own.key_pem().unwrap());
    std::fs::set_permissions(world.path(&key), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = world.good(&["org", "apply", &file]);
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
    assert!(!ran.out.contains("PRIVATE KEY"), "{}", ran.out);
    std::fs::set_permissions(world.path(&key), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.good(&["org", "apply", &file]).err, "no changes\n");

    let renewed = issue("results@direct.lab.example");
    world.write("own/results.pem", renewed.certificate.pem().unwrap());
    world.write("own/results.key", renewed.key_pem().unwrap());
    let ran = world.good(&["org", "apply", &file]);
    assert!(ran.out.contains(".certificate: ") && ran.out.contains(".key: (another) -> (not shown)"), "{}", ran.out);
}

#[test]
fn a_former_signing_key_is_not_kept_as_the_password_of_a_mailbox() {
    let world = World::new();
    std::fs::create_dir(world.path("own")).unwrap();
    let own = issue("results@direct.lab.example");
    world.write("own/results.pem", own.certificate.pem().unwrap());
    world.write("own/results.key", own.key_pem().unwrap());
    world.good(&["org", "apply", &world.write("north.toml", SIGNING)]);
    let edge = SIGNING.split("mode").next().unwrap().to_owned() + "mode = \"edge\"\nrelay = \"hisp-a\"\n";
    world.good(&["org", "apply", &world.write("north.toml", edge)]);
    let shown = world.json(&["org", "show", "north"]);
    assert_eq!((&shown["identities"][0]["has_secret"], &shown["identities"][0]["mode"]), (&false.into(), &"edge".into()));
    // A password stays until another takes its place.
    let (world, file) = north();
    world.good(&["org", "apply", &file]);
    let without = world.write("north.toml", NORTH.replace("password_file = \"password\"\n", ""));
    world.good(&["org", "apply", &without]);
    let again = world.good(&["org", "apply", &without]);
    assert!(again.err.contains("the password on record stays in use") && again.err.ends_with("no changes\n"), "{}", again.err);
    assert_eq!(world.json(&["org", "show", "north"])["identities"][0]["has_secret"], true);
}

/// A `[[relay]]` and an identity of the installation that logs in to it.
const INSTALLATION: &str = "\
[[relay]]
name = \"hisp-a\"
host = \"smtp.hisp.example\"
imap = { host = \"imap.hisp.example\" }
[[identity]]
address = \"results@direct.gateway.example\"
mode = \"edge\"
relay = \"hisp-a\"
password_file = \"password\"
";

#[test]
fn the_installations_own_identity_is_checked_shown_and_named_where_an_organization_has_none() {
    let world = World::new();
    let sample = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    world.write("postern.toml", format!("{sample}\n{INSTALLATION}"));
    let shown = world.json(&["check-config"]);
    assert_eq!(shown["identity"][0]["address"], "results@direct.gateway.example", "{shown}");
    let doctor = world.bad(&["doctor"]).out;
    assert!(doctor.contains("bad   own identities: ") && doctor.contains("password"), "{doctor}");
    let start = world.run(&["serve", "--only", "worker"]);
    assert!(start.code != 0 && start.err.contains("the installation's own identities cannot be used"), "{start:?}");
    world.write("password", "hunter2\n");
    let doctor = world.good(&["doctor"]).out;
    assert!(doctor.contains("good  own identities: results@direct.gateway.example"), "{doctor}");

    let site = "[[site]]\nlocal_id = \"A\"\n";
    let plain = world.write("north.toml", format!("slug = \"north\"\nname = \"North\"\n{site}"));
    let applied = world.good(&["org", "apply", &plain]);
    assert!(applied.err.contains("the installation's is used, results@direct.gateway.example"), "{}", applied.err);
    let named = |address: &str| format!("slug = \"north\"\nname = \"North\"\n{site}identity = \"{address}\"\n");
    world.good(&["org", "apply", &world.write("named.toml", named("results@direct.gateway.example"))]);
    let refused = world.bad(&["org", "apply", &world.write("unknown.toml", named("results@direct.nobody.example"))]);
    assert!(refused.err.contains("site[0].identity: names an address with no [[identity]]"), "{}", refused.err);
    for (mistake, says) in
        [("relay = \"hisp-a\"\npassword", "no [[relay]] of that name"), ("mode = \"edge\"", "we sign with them")]
    {
        let to = if mistake.starts_with("relay") { "relay = \"hisp-b\"\npassword" } else { "mode = \"sta_relay\"" };
        world.write("postern.toml", INSTALLATION.replace(mistake, to));
        let refused = world.bad(&["check-config"]);
        assert!(refused.err.contains(says), "{}", refused.err);
    }
}
