//! The bytes behind each token of a vocabulary.

use std::collections::HashMap;

use tokenizers::Tokenizer;

/// Bytes by token id; empty for special tokens and unused ids.
pub(crate) fn table(tokenizer: &Tokenizer) -> Vec<Vec<u8>> {
    let vocabulary = tokenizer.get_vocab(true);
    // No vocabulary has more; a damaged one must not ask for gigabytes.
    let size = vocabulary.values().max().map_or(0, |id| *id as usize + 1).min(1 << 22);
    let special = tokenizer.get_added_tokens_decoder();
    // SentencePiece writes a space as `▁`; byte-level BPE writes every byte as a letter, space as `Ġ`.
    let pieces = vocabulary.contains_key("▁") && !vocabulary.contains_key("Ġ");
    let letters = letters();
    let mut table = vec![Vec::new(); size];
    for (token, id) in vocabulary {
        let bytes = match special.get(&id) {
            Some(added) if added.special => Vec::new(),
            Some(added) => added.content.clone().into_bytes(),
            None if pieces => piece(&token),
            None => token
                .chars()
                .flat_map(|letter| match letters.get(&letter) {
                    Some(byte) => vec![*byte],
                    None => letter.to_string().into_bytes(),
                })
                .collect(),
        };
        if let Some(place) = table.get_mut(id as usize) {
            *place = bytes;
        }
    }
    table
}

fn piece(token: &str) -> Vec<u8> {
    let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match hex.filter(|hex| hex.len() == 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        Some(byte) => vec![byte],
        None => token.replace('▁', " ").into_bytes(),
    }
}

/// GPT-2's letters of bytes: printable ones are themselves, the others follow from U+0100 on.
fn letters() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=255u8)
        .filter_map(|byte| {
            let itself = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let code = if itself {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            Some((char::from_u32(code)?, byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_pieces_stand_for_their_bytes() {
        let letters = letters();
        assert_eq!(letters.len(), 256);
        assert_eq!((letters[&'Ġ'], letters[&'Ċ'], letters[&'a']), (b' ', b'\n', b'a'));
        assert_eq!(piece("▁a"), b" a");
        assert_eq!(piece("<0x0A>"), b"\n");
    }
}
