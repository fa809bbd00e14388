//! Keys and trust as an operator sees them: own certificates in generations, keys on a token, bundles of anchors, and what
//! peers have shown. `openssl` is the judge and the forger, SoftHSM the token.

mod bench;
mod bundles;
mod identities;
mod peers;
mod token;
