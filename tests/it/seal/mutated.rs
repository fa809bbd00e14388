//! Whatever is done to a sealed message, it is never accepted as something else and nothing panics.

use std::sync::OnceLock;

use postern::{
    seal::{Cipher, KeyTransport, Profile},
    trust::authority::{Issued, KeyKind},
};
use proptest::prelude::*;

use super::world::{Desk, INNER, RECIPIENT, SENDER, issue, seal_with};

struct Scene {
    recipient: Issued,
    messages: Vec<Vec<u8>>,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let (sender, recipient) = (issue(SENDER, KeyKind::P256), issue(RECIPIENT, KeyKind::Rsa(2048)));
        let messages = Cipher::ALL
            .iter()
            .map(|&cipher| {
                seal_with(INNER, &sender, &recipient.certificate, Profile { cipher, key_transport: KeyTransport::Pkcs1 })
            })
            .collect();
        Scene { recipient, messages }
    })
}

/// Accepted means: exactly what was sealed. A change that does not matter (white space, a header nobody reads) may pass.
fn judge(message: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(opened) = Desk::of(&scene().recipient).open(message) {
        prop_assert_eq!(opened.inner(), INNER.as_bytes());
        prop_assert_eq!(opened.from().as_str(), SENDER);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_cut_message_is_never_accepted(which in 0..3_usize, cut in 0.0..1.0_f64) {
        let message = &scene().messages[which];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in the message")]
        let end = (message.len() as f64 * cut) as usize;
        // Without its last line end the message is still whole.
        if end < message.trim_ascii_end().len() {
            prop_assert!(Desk::of(&scene().recipient).open(&message[..end]).is_err());
        }
    }

    #[test]
    fn a_changed_octet_never_changes_what_is_accepted(which in 0..3_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut message = scene().messages[which].clone();
        let at = at.index(message.len());
        message[at] = to;
        judge(&message)?;
    }

    #[test]
    fn a_changed_bit_of_the_envelope_is_never_accepted(which in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let message = String::from_utf8(scene().messages[which].clone()).unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let mut der = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        let at = at.index(der.len());
        der[at] ^= 1 << bit;
        let changed = format!("{head}\r\n\r\n{}\r\n", STANDARD.encode(&der));
        let opened = Desk::of(&scene().recipient).open(changed.as_bytes());
        // The version number of EnvelopedData says nothing that its content does not say.
        prop_assert!(opened.is_err() || opened.is_ok_and(|opened| opened.inner() == INNER.as_bytes()));
    }

    #[test]
    fn lines_taken_out_doubled_or_swapped_never_change_what_is_accepted(
        which in 0..3_usize, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), how in 0..3_u8,
    ) {
        let message = String::from_utf8(scene().messages[which].clone()).unwrap();
        let mut lines: Vec<&str> = message.split("\r\n").collect();
        let (a, b) = (a.index(lines.len()), b.index(lines.len()));
        match how {
            0 => { lines.remove(a); }
            1 => lines.insert(b, lines[a]),
            _ => lines.swap(a, b),
        }
        judge(lines.join("\r\n").as_bytes())?;
    }

    #[test]
    fn arbitrary_octets_are_never_accepted(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Desk::of(&scene().recipient).open(&bytes).is_err());
    }
}
