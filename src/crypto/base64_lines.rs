//! Base64 in lines of 76 characters with CRLF (RFC 2045 6.8), appended to a buffer that is reused.

use base64::{
    Engine as _,
    engine::{GeneralPurposeConfig, general_purpose::PAD},
};
use std::sync::LazyLock;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Fast = base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Fast = base64::engine::GeneralPurpose;

static ENGINE: LazyLock<Fast> = LazyLock::new(|| {
    let config: GeneralPurposeConfig = PAD;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        Fast::standard(config)
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Fast::new(&base64::alphabet::STANDARD, config)
    }
});

/// Characters in a full line (RFC 2045 6.8 allows no more).
const LINE: usize = 76;
/// The same with its line end.
const ENDED: usize = LINE + 2;
/// Octets that make a full line.
const LINE_IN: usize = LINE / 4 * 3;
/// Lines encoded at a time: input and output of a block stay in the first-level cache.
const BLOCK: usize = 64;

/// How many octets [`base64_lines`] appends for `len` octets.
#[must_use]
pub const fn encoded_len(len: usize) -> usize {
    let characters = len.div_ceil(3) * 4;
    characters + characters.div_ceil(LINE) * 2
}

/// Appends `data` to `out` as base64 lines, each ended by CRLF (the last one too). Nothing for no data.
pub fn base64_lines(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(data.len()));
    let mut characters = [0_u8; BLOCK * LINE];
    let mut ended = [[b'\n'; ENDED]; BLOCK];
    for block in data.chunks(BLOCK * LINE_IN) {
        // The buffer holds a whole block, so the engine cannot run out of room.
        let Ok(len) = ENGINE.encode_slice(block, &mut characters) else { return };
        let (lines, rest) = characters[..len].as_chunks::<LINE>();
        for (line, ended) in lines.iter().zip(&mut ended) {
            ended[..LINE].copy_from_slice(line);
            ended[LINE] = b'\r';
        }
        out.extend_from_slice(ended[..lines.len()].as_flattened());
        if !rest.is_empty() {
            out.extend_from_slice(rest);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_plain_base64_cut_at_76(data in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let mut out = b"kept".to_vec();
            base64_lines(&data, &mut out);
            prop_assert_eq!(out.len(), 4 + encoded_len(data.len()));
            let text = String::from_utf8(out.split_off(4)).unwrap();
            prop_assert!(text.is_empty() || text.ends_with("\r\n"));
            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            prop_assert!(lines.iter().rev().skip(1).all(|line| line.len() == LINE));
            prop_assert_eq!(lines.concat(), base64::engine::general_purpose::STANDARD.encode(&data));
        }
    }
}
