//! `postern trust revocation`.

use super::world::World;

#[test]
fn before_anything_was_fetched_there_is_nothing_to_list_or_refresh() {
    let world = World::new();
    let listed = world.good(&["trust", "revocation", "list"]);
    assert!(listed.out.is_empty() && listed.err.contains("nothing was fetched yet"), "{}", listed.err);
    assert_eq!(world.json(&["trust", "revocation", "list"]), serde_json::json!([]));
    assert_eq!(world.json(&["trust", "revocation", "refresh"]), serde_json::json!([]));
}

#[test]
fn an_organizations_rules_are_applied_shown_and_checked() {
    let world = World::new();
    let rules = "[trust]\nrevocation = \"soft_fail\"\ncertificate_policies = [\"1.3.6.1.4.1.41179.1.3\"]\n\
        [trust.receiving]\nrevocation = \"hard_fail\"\n";
    let good = world.write("good.toml", format!("slug = \"north\"\nname = \"North\"\n{rules}"));
    world.good(&["org", "apply", &good]);
    let shown = world.json(&["org", "show", "north"]).to_string();
    assert!(shown.contains("soft_fail") && shown.contains("hard_fail") && shown.contains("41179"), "{shown}");
    let bad = world.write("bad.toml", "slug = \"north\"\nname = \"North\"\n[trust]\ncertificate_policies = [\"LoA 3\"]\n");
    let refused = world.run(&["org", "apply", &bad]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("trust.certificate_policies[0]"), "{}", refused.err);
}
