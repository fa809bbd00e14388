//! Who has access: people, and programs with tokens. For tokens of the installation.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, and, body, shape, words},
};
use crate::domain::person::{Right, Role};

pub(super) fn operations() -> Vec<Operation> {
    let whose = "Of the organization that is named; of the installation when none is.";
    vec![
        get("/v1/people", "Who may sign in to the console").answers(200, "#People", "By login."),
        post("/v1/people", "Let somebody in")
            .says("With a first password, shown this once and good only to choose another. Nobody lets somebody in who may do more than they. Again is 409.")
            .takes("#NewPerson")
            .answers(201, "#PersonWithPassword", "They may sign in.")
            .may_fail(&[409]),
        post("/v1/people/{id}", "Disable, enable or reset somebody, or give them another role")
            .says("Whatever they are signed in to ends. A first password is shown this once.")
            .takes("#PersonAct")
            .answers(200, "#PersonWithPassword", "Them, as they are now."),
        get("/v1/tokens", "Tokens: what each may do, when it ends, when it was last used").says(whose).answers(200, "#Tokens", "The newest first, never their text."),
        post("/v1/tokens", "Make a token")
            .says("Of the organization that is named, or of the installation when none is. Its text is shown this once: only a hash is kept. Nobody gives a right they have not.")
            .takes("#NewToken")
            .answers(201, "#TokenMade", "It."),
        post("/v1/tokens/rotate", "Make a token in the place of those of its name")
            .says("Which go on for `overlap`: time to exchange them. It has the rights of the newest of them.")
            .takes("#RotateToken")
            .answers(201, "#TokenMade", "It.")
            .may_fail(&[404]),
        post("/v1/tokens/revoke", "End every token of a name, at once")
            .takes("#RevokeToken")
            .answers(200, "#TokensRevoked", "How many.")
            .may_fail(&[404]),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let rights = Right::meant_by("admin").into_iter().collect::<Vec<_>>();
    let person = shape(json!({
        "id": "id", "login": "text", "name": "text", "role": words(Role::ALL), "organizations": "[slug]: none stands for all", "codes": "flag: set up (TOTP)",
        "first_password": "flag: they have not chosen their own yet", "created_at": "time", "signed_in_at": "time|null", "disabled": "flag" }));
    let act = json!({ "oneOf": [
        body(json!({ "action": json!({ "enum": ["disable", "enable"] }) })),
        body(json!({ "action": json!({ "const": "reset" }), "codes?": "flag: take their codes away, too" })),
        body(json!({ "action": json!({ "const": "role" }), "role": words(Role::ALL), "organizations?": "[text]" })),
    ] });
    let token = shape(json!({
        "id": "id", "organization": "slug|null: none is the installation", "name": "text", "scopes": "[#Right]", "created_at": "time",
        "expires_at": "time|null", "used_at": "time|null: to the minute", "revoked_at": "time|null", "good": "flag: it lets somebody in" }));
    let made =
        shape(json!({ "id": "id", "name": "text", "scopes": "[#Right]", "expires_at": "time|null", "token": "text: this once",
        "old_until?": "time: until when the ones before go on" }));
    vec![
        ("Right", words(&rights)),
        ("Person", person),
        ("People", shape(json!({ "people": "[#Person]" }))),
        (
            "NewPerson",
            body(
                json!({ "login": "text", "name?": "text|null", "role": words(Role::ALL), "organizations?": "[text]: by short name; a viewer has at least one" }),
            ),
        ),
        ("PersonAct", act),
        ("PersonWithPassword", and("#Person", json!({ "password?": "text", "password_until?": "time" }))),
        ("Token", token),
        ("Tokens", shape(json!({ "tokens": "[#Token]" }))),
        (
            "NewToken",
            body(
                json!({ "name": "text", "scopes?": "[text]: rights, nouns of rights, or admin; without them a sender's", "expires?": "text|null: after so long, as in 90d", "ignore_unknown?": "flag" }),
            ),
        ),
        ("TokenMade", made),
        ("RotateToken", body(json!({ "name": "text", "overlap?": "text: as in 24h", "expires?": "text|null" }))),
        ("RevokeToken", body(json!({ "name": "text" }))),
        ("TokensRevoked", shape(json!({ "name": "text", "revoked": "number" }))),
    ]
}
