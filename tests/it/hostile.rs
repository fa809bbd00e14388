//! Every entry point for octets of strangers: its seeds, and thousands of mutations of them, panic nowhere. The same
//! functions are fuzzed by `scripts/fuzz` for as long as somebody likes.

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the same file is the root of a crate of its own")]
mod entries;

use std::sync::OnceLock;

use proptest::{prelude::*, sample::Index};

/// A small generator of numbers (Numerical Recipes): the same mutations each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }

    /// `seed` with a few things changed: octets, bits, what looks like a length, something cut out, doubled, or of `other`.
    fn mutated(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let (at, span) = (self.below(bytes.len()), 1 + self.below(40));
            let end = (at + span).min(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x30, b'\r', b'\n', b':'][self.below(12)],
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => bytes.truncate(at),
                5 => {
                    let from = self.below(other.len());
                    let to = (from + span * 4).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
                _ => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            }
        }
        bytes
    }
}

fn mutations(entry: &str, count: usize) {
    let (_, look, seeds) = entries::entries().into_iter().find(|(name, ..)| *name == entry).unwrap();
    assert!(!seeds.is_empty());
    entries::prepare();
    let look = |bytes: &[u8]| entries::within_limits(look, bytes);
    for seed in &seeds {
        look(seed);
    }
    look(&[]);
    let mut numbers = Numbers(2026);
    for n in 0..count {
        let (seed, other) = (&seeds[n % seeds.len()], &seeds[numbers.below(seeds.len())]);
        look(&numbers.mutated(seed, other));
    }
}

macro_rules! every_seed_and_thousands_of_mutations_panic_nowhere {
    ($($entry:ident: $count:literal),+) => {$(
        #[test]
        fn $entry() {
            mutations(stringify!($entry), $count);
        }
    )+};
}

// Those with RSA in them are given fewer: the fuzz targets have the time.
every_seed_and_thousands_of_mutations_panic_nowhere! {
    certificate: 3_000, bundle: 10_000, message: 1_500, signed: 1_500, inner: 10_000, notice: 10_000, statement: 10_000,
    ldap: 5_000, dns: 5_000
}

fn all() -> &'static [entries::Entry] {
    static ALL: OnceLock<Vec<entries::Entry>> = OnceLock::new();
    ALL.get_or_init(entries::entries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_octets_come_panic_nowhere(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        for (_, look, _) in all() {
            look(&bytes);
        }
    }

    #[test]
    fn pieces_of_sound_ones_put_together_panic_nowhere(
        (entry, one, other) in any::<(Index, Index, Index)>(), cuts in any::<[Index; 3]>(), scrap in any::<[u8; 3]>()
    ) {
        let (_, look, seeds) = entry.get(all());
        let (one, other) = (one.get(seeds), other.get(seeds));
        let mut ends = [cuts[1].index(other.len() + 1), cuts[2].index(other.len() + 1)];
        ends.sort_unstable();
        look(&[&one[..cuts[0].index(one.len() + 1)], &scrap, &other[ends[0]..ends[1]]].concat());
    }
}

#[test]
fn each_fuzz_target_is_one_of_the_entries_and_has_its_file() {
    let toml = std::fs::read_to_string("tests/fuzz/Cargo.toml").unwrap();
    let all = all();
    for (name, ..) in all {
        assert!(toml.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        let text = std::fs::read_to_string(format!("tests/fuzz/targets/{name}.rs")).unwrap();
        assert!(text.contains(&format!("postern_fuzz::within_limits(postern_fuzz::{name}, data)")), "{name}");
    }
    assert_eq!(toml.matches("path = \"targets/").count(), all.len());
}
