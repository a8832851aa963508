//! Inputs out of others: [`mutated`].

use crate::random::Random;

/// Sizes that do not fit, or nearly so.
const NUMBERS: [u64; 8] = [0, 1, 7, 1 << 31, 0xffff_ffff, 1 << 40, 1 << 63, u64::MAX];
const DIGITS: [&str; 6] = ["99999999999", "-1", "0", "1e300", "3", "0.5"];
const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\"}]9,\n";

/// One of the inputs with one to five changes.
pub(crate) fn mutated(inputs: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.one_of(inputs).clone();
    for _ in 0..=random.below(5) {
        change(&mut bytes, inputs, words, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, inputs: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.byte());
    }
    let at = place(bytes.len(), random);
    let end = (at + 1 + random.below(64)).min(bytes.len());
    match random.below(12) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.byte(),
        2 => bytes[at] = *random.one_of(BYTES),
        3 => bytes.insert(at, random.byte()),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..end)),
        6 => double(bytes, at, end, random),
        7 => {
            let other = random.one_of(inputs);
            let from = random.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
        8 => {
            let width = *random.one_of(&[4, 8]);
            overwrite(bytes, at, &random.one_of(&NUMBERS).to_le_bytes()[..width]);
        }
        9 => other_digits(bytes, at, random),
        10 if !words.is_empty() => overwrite(bytes, at, random.one_of::<Vec<u8>>(words)),
        _ if !words.is_empty() => drop(bytes.splice(at..at, random.one_of(words).iter().copied())),
        _ => bytes[at] ^= 1 << random.below(8),
    }
}

/// Headers and directories, where the sizes are, stand at the ends.
fn place(length: usize, random: &mut Random) -> usize {
    match random.below(4) {
        0 => random.below(length.min(64)),
        1 => random.below(length.min(2_048)),
        2 => length - 1 - random.below(length.min(400)),
        _ => random.below(length),
    }
}

fn double(bytes: &mut Vec<u8>, at: usize, end: usize, random: &mut Random) {
    let times = if random.below(2) == 0 { 1 } else { random.below(30) };
    let parts = bytes[at..end].repeat(times);
    bytes.splice(at..at, parts);
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes[at..].iter_mut().zip(with) {
        *byte = *new;
    }
}

/// A digit of a text becomes another number.
fn other_digits(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let digits: Vec<usize> =
        (at..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).take(64).collect();
    if !digits.is_empty() {
        let digit = *random.one_of(&digits);
        bytes.splice(digit..=digit, random.one_of(&DIGITS).bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_inputs_come_twice_and_words_come_in() {
        let inputs = vec![br#"{"a": 17}"#.to_vec(), Vec::new()];
        let words = vec![b"NaN".to_vec()];
        let mut random = Random(1);
        let made: BTreeSet<Vec<u8>> =
            (0..1000).map(|_| mutated(&inputs, &words, &mut random)).collect();
        assert!(made.len() > 700, "{}", made.len());
        assert!(made.iter().any(|bytes| bytes.windows(3).any(|three| three == b"NaN")));
        let mut again = Random(1);
        assert!(made.contains(&mutated(&inputs, &words, &mut again)));
    }
}
