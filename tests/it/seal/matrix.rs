//! What we seal, `openssl cms` opens; what it seals, we open. Every cipher, key transport and kind of key.

use postern::{
    seal::{Cipher, KeyTransport, Profile},
    trust::authority::KeyKind,
};

use super::world::{Bench, Desk, HEADERS, INNER, RECIPIENT, SENDER, issue, root, seal_with};

const KEYS: [KeyKind; 3] = [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384];

#[test]
fn openssl_opens_and_verifies_every_combination_we_seal() {
    let bench = Bench::new();
    bench.file("root.pem", root().certificate().pem().unwrap());
    for signing in KEYS {
        let sender = issue(SENDER, signing);
        for receiving in KEYS {
            let recipient = issue(RECIPIENT, receiving);
            bench.identity("recipient", &recipient);
            for &cipher in Cipher::ALL {
                for &key_transport in KeyTransport::ALL {
                    let case = format!("{signing:?} -> {receiving:?} {cipher} {key_transport}");
                    let sealed = seal_with(INNER, &sender, &recipient.certificate, Profile { cipher, key_transport });
                    bench.file("sealed.eml", sealed);
                    bench
                        .openssl("cms -decrypt -in sealed.eml -recip recipient.pem -inkey recipient.key -out signed.eml")
                        .unwrap_or_else(|error| panic!("{case}: {error}"));
                    bench
                        .openssl(
                            "cms -verify -in signed.eml -CAfile root.pem -attime 1768490130 -purpose smimesign -out wrapped.eml",
                        )
                        .unwrap_or_else(|error| panic!("{case}: {error}"));
                    let wrapped = String::from_utf8(bench.read("wrapped.eml")).unwrap();
                    let (headers, inner) = wrapped.split_once("\r\n\r\n").unwrap();
                    assert!(headers.starts_with("Content-Type: message/rfc822"), "{case}");
                    assert_eq!(inner, INNER, "{case}");
                }
            }
        }
    }
}

#[test]
fn we_open_every_combination_we_seal() {
    for signing in KEYS {
        let sender = issue(SENDER, signing);
        for receiving in KEYS {
            let recipient = issue(RECIPIENT, receiving);
            for &cipher in Cipher::ALL {
                for &key_transport in KeyTransport::ALL {
                    let sealed = seal_with(INNER, &sender, &recipient.certificate, Profile { cipher, key_transport });
                    let opened = Desk::of(&recipient).open(&sealed);
                    let opened = opened.unwrap_or_else(|e| panic!("{signing:?} -> {receiving:?} {cipher} {key_transport}: {e}"));
                    assert_eq!(opened.inner(), INNER.as_bytes());
                    assert_eq!(opened.from().as_str(), SENDER);
                    assert!(opened.is_wrapped());
                }
            }
        }
    }
}

#[test]
fn we_open_what_openssl_seals() {
    let bench = Bench::new();
    bench.file("wrapped.eml", format!("Content-Type: message/rfc822\r\n\r\n{INNER}"));
    let transports = [
        "",
        "-keyopt rsa_padding_mode:oaep",
        "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256",
        "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256 -keyopt rsa_mgf1_md:sha1",
        "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha512",
    ];
    let agreements = ["", "-keyopt ecdh_kdf_md:sha256", "-keyopt ecdh_kdf_md:sha384"];
    // Detached and opaque; with and without the signer's key identifier; canonical and bare line feeds; SHA-384.
    let signatures = ["", "-nodetach", "-keyid", "-binary", "-md sha384", "-md sha512 -nodetach", "-crlfeol"];
    let mut tried = 0;
    for signing in KEYS {
        let sender = issue(SENDER, signing);
        bench.identity("sender", &sender);
        for (number, signature) in signatures.iter().enumerate() {
            let line = format!(
                "cms -sign -in wrapped.eml -signer sender.pem -inkey sender.key -md sha256 {signature} -out signed{number}.eml"
            );
            bench.openssl(&line).unwrap();
        }
        for receiving in KEYS {
            let recipient = issue(RECIPIENT, receiving);
            bench.identity("recipient", &recipient);
            let keys: &[&str] = if matches!(receiving, KeyKind::Rsa(_)) { &transports } else { &agreements };
            for (number, key) in keys.iter().enumerate() {
                for cipher in ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm"] {
                    for stream in ["", "-stream"] {
                        tried += 1;
                        let signature = (number + tried) % signatures.len();
                        let case = format!("{signing:?} {} -> {receiving:?} {cipher} {key} {stream}", signatures[signature]);
                        let by_key = if tried % 3 == 0 { "-keyid" } else { "" };
                        let line = format!(
                            "cms -encrypt -binary -in signed{signature}.eml -{cipher} {stream} {by_key} -recip recipient.pem {key} -out body.eml"
                        );
                        bench.openssl(&line).unwrap_or_else(|error| panic!("{case}: {error}"));
                        let sealed = [HEADERS.as_bytes(), &bench.read("body.eml")].concat();
                        let opened = Desk::of(&recipient).open(&sealed).unwrap_or_else(|error| panic!("{case}: {error}"));
                        assert_eq!(
                            opened.message_id().map(postern::domain::MessageId::as_str),
                            Some("<m1@direct.lab.example>"),
                            "{case}"
                        );
                        assert_eq!(opened.inner(), INNER.as_bytes(), "{case}");
                    }
                }
            }
        }
    }
    assert!(tried >= 200, "{tried}");
}
