//! `postern org test-message`: a made-up patient's report, from the shell.

use super::world::World;

const NORTH: &str = "slug = \"north\"\nname = \"North\"\nmode = \"test\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

#[test]
fn a_test_message_is_taken_in_like_any_other_result() {
    let world = World::with(NORTH);
    let ran = world.good(&["org", "test-message", "north", "--site", "RIVERSIDE01", "--to", "pcp@hisp.test"]);
    let order = ran.out.trim();
    assert!(order.starts_with("TEST-"), "{}", ran.out);
    let explained = world.good(&["explain", order]).out;
    assert!(explained.contains(order) && explained.contains("not routed yet"), "{explained}");
    let taken = world.json(&["org", "test-message", "north", "--site", "RIVERSIDE01", "--to", "pcp@hisp.test"]);
    assert_ne!(taken["order_id"], order, "each is another one");
    let bad = world.bad(&["org", "test-message", "north", "--site", "NOWHERE", "--to", "pcp@hisp.test"]);
    assert!(bad.err.contains("is no site of the organization"), "{}", bad.err);
    assert_eq!(world.run(&["org", "test-message", "south", "--site", "S", "--to", "pcp@hisp.test"]).code, 2);
    let trail = world.json(&["audit", "list", "--limit", "100"]);
    assert!(trail.to_string().contains("org test-message"), "{trail}");
}
