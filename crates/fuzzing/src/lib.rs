//! Fuzzing of decoders on stable Rust: [`fuzz`] damages valid inputs at random and checks that the
//! decoder never panics. Inputs that a decoder still accepts are damaged further.
//!
//! Tests run a few thousand executions of each decoder; `FUZZ_CASES=1000000` sets another number.
//! Equal numbers give equal inputs.
//!
//! ```
//! tandem_fuzzing::fuzz("numbers", &[b"12", b"-3"], |bytes| {
//!     std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<i32>().is_ok())
//! });
//! ```

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Executions without `FUZZ_CASES`.
const CASES: u64 = 2_000;
/// Maximum number of inputs that are damaged further.
const CORPUS: usize = 1_000;
/// Maximum length of an input, as a multiple of the longest seed, and bytes in addition: long
/// inputs take long and find nothing that short ones do not.
const MAX_GROWTH: (usize, usize) = (3, 64);
/// Maximum number of changes to one input.
const MAX_CHANGES: u64 = 4;

/// Texts that decoders of JSON, CSV and binary headers treat in their own way.
const TOKENS: [&[u8]; 22] = [
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"NaN",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"[]",
    b"{}",
    b"[[[[",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\t",
    b";",
    b"\x7f\x80",
];
/// Numbers at which lengths and sizes overflow.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX - 7,
    u64::MAX,
];

/// Number of executions and what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Inputs that were decoded or refused.
    pub executions: u64,
    /// Inputs that the decoder accepted.
    pub accepted: u64,
    /// Inputs that were damaged further, the seeds included.
    pub corpus: usize,
}

/// Damages `seeds` at random and passes the results to `decode`, which returns whether it accepts
/// them. Prints the number of executions.
///
/// # Panics
/// If `decode` panics, after the input has been printed, or if there are no seeds.
pub fn fuzz(
    name: &str,
    seeds: &[impl AsRef<[u8]>],
    mut decode: impl FnMut(&[u8]) -> bool,
) -> Outcome {
    let cases = env::var("FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
    assert!(!corpus.is_empty(), "{name} has no seeds");
    let longest = corpus.iter().map(Vec::len).max().unwrap_or(0);
    let limit = longest * MAX_GROWTH.0 + MAX_GROWTH.1;
    let seed =
        name.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random(seed);
    let mut accepted = 0;
    for case in 0..cases {
        let mut input = corpus[random.below(corpus.len())].clone();
        // One change in half of the cases: more are rarely accepted.
        let more = if random.below(2) == 0 { 0 } else { random.next() % MAX_CHANGES };
        for _ in 0..=more {
            let other = random.below(corpus.len());
            change(&mut input, &corpus[other], &mut random);
        }
        input.truncate(limit);
        match catch_unwind(AssertUnwindSafe(|| decode(&input))) {
            Ok(false) => {}
            Ok(true) => {
                accepted += 1;
                if corpus.len() < CORPUS {
                    corpus.push(input);
                } else if random.next().is_multiple_of(16) {
                    // The seeds stay.
                    let at = seeds.len() + random.below(CORPUS.saturating_sub(seeds.len()).max(1));
                    if let Some(old) = corpus.get_mut(at) {
                        *old = input;
                    }
                }
            }
            Err(panic) => {
                eprintln!("{name}, case {case}: the decoder panicked on {}", input.escape_ascii());
                resume_unwind(panic);
            }
        }
    }
    let corpus = corpus.len();
    println!(
        "fuzzed {name}: {cases} executions, {accepted} accepted, {corpus} inputs in the corpus"
    );
    Outcome { executions: cases, accepted, corpus }
}

/// Changes an input in one place.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.next() % 9 {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.next() as u8,
        2 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..at, token.iter().copied());
        }
        3 => {
            let token = TOKENS[random.below(TOKENS.len())];
            let end = input.len().min(at + token.len());
            input.splice(at..end, token.iter().copied());
        }
        4 => {
            let end = input.len().min(at + 1 + random.below(16));
            input.drain(at..end);
        }
        5 => {
            let end = input.len().min(at + 1 + random.below(64));
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        6 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let end = input.len().min(at + width);
            input[at..end].copy_from_slice(&number[..end - at]);
        }
        7 => {
            let from = random.below(other.len() + 1);
            let end = other.len().min(from + random.below(256));
            input.splice(at..at, other[from..end].iter().copied());
        }
        _ => input.truncate(at),
    }
}

/// The `SplitMix64` pseudo-random number generator (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A value below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_damaged_and_the_corpus_grows() {
        let mut lengths = std::collections::BTreeSet::new();
        let outcome = fuzz("bytes", &[b"seed"], |bytes| {
            lengths.insert(bytes.len());
            bytes.len() > 4
        });
        assert!(outcome.accepted > 100 && outcome.accepted < outcome.executions, "{outcome:?}");
        assert!(outcome.corpus > 100, "{outcome:?}");
        assert!(lengths.contains(&0) && lengths.len() > 20, "{lengths:?}");
    }

    #[test]
    #[should_panic(expected = "a fault")]
    fn a_panic_of_the_decoder_is_found() {
        fuzz("a fault", &[b"{}"], |bytes| {
            assert!(!bytes.windows(4).any(|window| window == b"null"), "a fault");
            true
        });
    }
}
