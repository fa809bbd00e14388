//! Whom an organization believes.

use serde_json::json;

use super::{
    operation::{Operation, delete, get, post},
    shape::{Named, body, shape, words},
};
use crate::{
    domain::identity::KeyUse,
    store::trust::{AnchorKind, AnchorUse},
};

/// An answer without a body.
const NOTHING: &str = "It is gone.";

pub(super) fn operations() -> Vec<Operation> {
    let digits = "text: SHA-256, hexadecimal";
    let all_or_none = "All of them, or when one will not do, none. The same again changes nothing.";
    vec![
        get("/v1/trust/anchors", "The anchors and intermediates that are believed").answers(200, "#Anchors", "Imported ones and those of bundles."),
        post("/v1/trust/anchors", "Believe authorities").says(all_or_none).takes("#NewAnchors").answers(200, "#Imported", "They are believed."),
        delete("/v1/trust/anchors/{fingerprint}", "Believe an authority no more")
            .at("fingerprint", digits)
            .answers_as(204, NOTHING, json!({})),
        get("/v1/trust/certificates", "The recipients' certificates that were imported").answers(200, "#Certificates", "By name."),
        post("/v1/trust/certificates", "Import recipients' certificates")
            .says(all_or_none)
            .takes("#NewCertificates")
            .answers(200, "#Imported", "They are known."),
        delete("/v1/trust/certificates/{fingerprint}", "Forget a recipient's certificate")
            .at("fingerprint", digits)
            .answers_as(204, NOTHING, json!({})),
        get("/v1/trust/identities", "The certificates of the addresses results are sent from").answers(200, "#Identities", "Keys never leave the machine."),
        get("/v1/trust/bundles", "Sets of anchors that somebody else keeps").answers(200, "#Bundles", "Each with its age and what went wrong last."),
        post("/v1/trust/bundles", "Take a bundle, in the place of one of that name")
            .says("From a URL, which is then fetched again and again, or as it is. Without a signer, whoever can change what the URL gives decides whom you believe.")
            .takes("#NewBundle")
            .answers(200, "#BundleTaken", "It is in force.")
            .may_fail(&[409]),
        post("/v1/trust/bundles/{name}/refresh", "Fetch a bundle now")
            .at("name", "text")
            .takes("#RefreshBundle")
            .answers(200, "#BundleRefreshed", "What changed.")
            .may_fail(&[409]),
        delete("/v1/trust/bundles/{name}", "Take a bundle away with its anchors")
            .at("name", "text")
            .answers_as(204, NOTHING, json!({})),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let pem = "text: PEM, one or several";
    let row = shape(json!({
        "name": "text: the address or domain it is bound to; of an authority, what kind it is", "subject": "text", "fingerprint": "text", "valid_until": "time",
        "expired": "flag", "use": json!({ "anyOf": [words(AnchorUse::ALL), { "type": "null" }] }), "bundle": "text|null" }));
    let identity = shape(json!({
        "address": "text", "use": words(KeyUse::ALL), "fingerprint": "text", "signs_now": "flag", "valid_from": "time", "valid_until": "time",
        "days_left": "number", "on_token": "flag" }));
    let bundle = shape(json!({
        "name": "text", "use": words(AnchorUse::ALL), "url": "text|null", "signed": "flag", "anchors": "number", "refreshed_at": "time|null",
        "tried_at": "time|null", "next_at": "time|null", "error": "text|null", "shrunk_to": "number|null: it would, and waits for somebody" }));
    let new_bundle = body(json!({
        "name": "text", "url?": "text|null: https://...", "content?": "text|null: the bundle itself, in PEM", "signer?": "text|null: the certificate that must have signed it, PEM",
        "use?": words(AnchorUse::ALL), "refresh?": "text: how often, as in 24h", "most_lost?": json!({ "type": "integer", "minimum": 0, "maximum": 100 }),
        "internal?": "flag: a server of our own network, for a token of the installation", "accept_shrink?": "flag", "dry_run?": "flag" }));
    let imported = shape(json!({ "dry_run": "flag", "imported": json!({ "type": "array",
        "items": shape(json!({ "name": "text", "subject": "text", "fingerprint": "text", "valid_until": "time" })) }) }));
    vec![
        ("StoredCertificate", row),
        ("Anchors", shape(json!({ "anchors": "[#StoredCertificate]" }))),
        ("Certificates", shape(json!({ "certificates": "[#StoredCertificate]" }))),
        (
            "NewAnchors",
            body(
                json!({ "certificates": pem, "kind?": words(AnchorKind::ALL), "use?": words(AnchorUse::ALL), "dry_run?": "flag" }),
            ),
        ),
        ("NewCertificates", body(json!({ "certificates": pem, "pin?": "text|null: only for this address", "dry_run?": "flag" }))),
        ("Imported", imported),
        ("OwnCertificate", identity),
        ("Identities", shape(json!({ "identities": "[#OwnCertificate]" }))),
        ("Bundle", bundle),
        ("Bundles", shape(json!({ "bundles": "[#Bundle]" }))),
        ("NewBundle", new_bundle),
        (
            "BundleTaken",
            shape(
                json!({ "name": "text", "use": words(AnchorUse::ALL), "anchors": "number", "left_out": "[text]", "dry_run": "flag" }),
            ),
        ),
        ("RefreshBundle", body(json!({ "accept_shrink?": "flag: though it has lost more of its anchors than it may" }))),
        (
            "BundleRefreshed",
            shape(json!({ "name": "text", "anchors": "number", "added": "number", "removed": "number", "left_out": "number" })),
        ),
    ]
}
