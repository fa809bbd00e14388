//! `[token]`: signing keys that are on a PKCS#11 token.

use std::path::PathBuf;

use super::section::section;

section! {
    /// A PKCS#11 token that holds signing and decryption keys (a hardware module, a smart card, SoftHSM).
    /// Which key of it is whose says `key = "pkcs11:..."` of an identity.
    ["token"] TokenSection {
        /// The module to load: the library its vendor delivers.
        module: Option<PathBuf> = None; for example "\"/usr/lib/softhsm/libsofthsm2.so\"",
        /// File with the user PIN. Nobody but its owner may be able to read it. A PIN the token refuses is not tried again.
        pin_file: Option<PathBuf> = None; for example "\"keys/token.pin\"",
    }
}
