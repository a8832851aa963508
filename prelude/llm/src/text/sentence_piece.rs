//! The SentencePiece vocabulary of a GGUF file (Llama 2, Mistral, Gemma, Phi-3) as a `tokenizer.json`.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::tokenizer::{added_tokens, vocabulary};
use crate::error::Result;
use crate::weights::gguf::{Gguf, Value};

/// Vocabularies in use stay far below it.
const LONGEST_TOKEN: usize = 1024;

/// SentencePiece's BPE has scores instead of merges: two tokens merge when their concatenation is a
/// token, the one with the best score first.
pub(super) fn json(gguf: &Gguf, tokens: &[&str]) -> Result<Json> {
    let scores: Vec<f64> = match gguf.metadata().get("tokenizer.ggml.scores") {
        Some(Value::Array(values)) if values.len() == tokens.len() => values
            .iter()
            .map(|value| if let Value::Float(score) = value { *score } else { 0.0 })
            .collect(),
        _ => return Err(gguf.bad("metadata tokenizer.ggml.scores is missing").into()),
    };
    // Every cut through a token is looked up: a token of a megabyte would take minutes.
    if let Some(token) = tokens.iter().find(|token| token.len() > LONGEST_TOKEN) {
        return Err(gguf.bad(format!("a token of {} bytes", token.len())).into());
    }
    let ids: HashMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, token)| (*token, id)).collect();
    let mut merges: Vec<(usize, &str, &str)> = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if ids.contains_key(left) && ids.contains_key(right) {
                merges.push((id, left, right));
            }
        }
    }
    merges.sort_by(|a, b| {
        scores[b.0]
            .total_cmp(&scores[a.0])
            .then_with(|| (ids[a.1], ids[a.2]).cmp(&(ids[b.1], ids[b.2])))
    });
    let merges: Vec<Json> = merges.iter().map(|(_, left, right)| json!([left, right])).collect();
    let prefix = gguf.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let mut normalizers =
        vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let unknown = gguf.number("tokenizer.ggml.unknown_token_id").and_then(|id| tokens.get(id));
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(gguf, tokens),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary(tokens), "merges": merges,
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::LlmError;
    use crate::text::Tokenizer;
    use crate::text::tokenizer::Stream;
    use crate::weights::gguf_writer::{Meta, write};

    const UNKNOWN: i32 = 2;
    const CONTROL: i32 = 3;
    const BYTE: i32 = 6;

    /// Pieces behind the bytes, the likeliest merge first; letters have the lowest scores.
    const PIECES: [(&str, f32); 14] = [
        ("▁t", -1.0),
        ("he", -2.0),
        ("bc", -3.0),
        ("at", -4.0),
        ("▁c", -5.0),
        ("▁the", -6.0),
        ("ab", -7.0),
        ("▁cat", -8.0),
        ("cd", -9.0),
        ("cat", -10.0),
        ("ll", -11.0),
        ("aa", -12.0),
        ("▁▁", -13.0),
        ("abcd", -14.0),
    ];
    const LETTERS: &str = "▁thebcadl";

    fn entries() -> Vec<(String, f32, i32)> {
        let mut all = vec![("<unk>".to_owned(), 0.0, UNKNOWN)];
        all.extend(["<s>", "</s>"].map(|text| (text.to_owned(), 0.0, CONTROL)));
        all.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 0.0, BYTE)));
        all.extend(PIECES.map(|(text, score)| (text.to_owned(), score, 1)));
        all.extend(LETTERS.chars().map(|letter| (letter.to_string(), -100.0, 1)));
        all
    }

    fn tokenizer(more: &[(&str, Meta)]) -> Result<Tokenizer> {
        let folder =
            tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let path = folder.path().join("x.gguf");
        let (mut tokens, mut scores, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for (token, score, kind) in entries() {
            tokens.push(token);
            scores.push(score);
            kinds.push(kind);
        }
        let mut metadata = vec![
            ("model", Meta::Text("llama".to_owned())),
            ("tokens", Meta::Texts(tokens)),
            ("scores", Meta::F32s(scores)),
            ("token_type", Meta::I32s(kinds)),
            ("unknown_token_id", Meta::U32(0)),
            ("bos_token_id", Meta::U32(1)),
            ("eos_token_id", Meta::U32(2)),
        ];
        metadata.extend(more.iter().cloned());
        let named =
            metadata.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
        write(&path, &named.collect::<Vec<_>>(), &[])?;
        Tokenizer::from_gguf(&Gguf::open(&path)?)
    }

    /// SentencePiece's algorithm as it is described: of all neighbours that are a piece together, those with
    /// the best score merge, the leftmost first, until there are none; what is no piece then is bytes.
    fn by_the_book(text: &str) -> Vec<u32> {
        let entries = entries();
        let find =
            |piece: &str| entries.iter().position(|(text, _, kind)| *kind == 1 && text == piece);
        let text = format!("▁{}", text.replace(' ', "▁"));
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let mut best: Option<(f32, usize)> = None;
            for at in 1..symbols.len() {
                let joined = format!("{}{}", symbols[at - 1], symbols[at]);
                if let Some(id) = find(&joined)
                    && best.is_none_or(|(score, _)| entries[id].1 > score)
                {
                    best = Some((entries[id].1, at));
                }
            }
            let Some((_, at)) = best else { break };
            let right = symbols.remove(at);
            symbols[at - 1].push_str(&right);
        }
        let ids = symbols.iter().flat_map(|symbol| match find(symbol) {
            Some(id) => vec![id],
            None => symbol.bytes().map(|byte| 3 + usize::from(byte)).collect(),
        });
        ids.filter_map(|id| u32::try_from(id).ok()).collect()
    }

    #[test]
    fn pieces_merge_by_their_scores_and_unknown_letters_are_bytes() -> Result<()> {
        let tokenizer = tokenizer(&[])?;
        let pieces = |text: &str| -> Result<Vec<String>> {
            let ids = tokenizer.encode(text, false)?;
            assert_eq!(ids, by_the_book(text), "{text:?}");
            assert_eq!(tokenizer.decode(&ids)?, text);
            // As it comes out piece by piece while it is generated.
            let mut stream = Stream::default();
            let mut told = String::new();
            for id in &ids {
                told.push_str(&stream.push(&tokenizer, *id)?);
            }
            told.push_str(&stream.finish(&tokenizer)?);
            assert_eq!(told, text);
            Ok(ids.iter().filter_map(|id| tokenizer.token(*id)).collect())
        };
        assert_eq!(pieces("the cat")?, ["▁the", "▁cat"]);
        // `bc` has a better score than `ab` and `cd`, so that `abcd` is never reached.
        assert_eq!(pieces("abcd")?, ["▁", "a", "bc", "d"]);
        assert_eq!(pieces("aaa")?, ["▁", "aa", "a"], "the leftmost of equals");
        assert_eq!(pieces("the  cat")?, ["▁the", "▁", "▁cat"]);
        assert_eq!(pieces(" cat ")?, ["▁", "▁cat", "▁"]);
        assert_eq!(pieces("cé")?, ["▁c", "<0xC3>", "<0xA9>"]);
        assert_eq!(
            pieces("the🦀 x\n")?[1..],
            ["<0xF0>", "<0x9F>", "<0xA6>", "<0x80>", "▁", "<0x78>", "<0x0A>"]
        );
        for text in ["hello all", "batch the bad cab", "da  abcd  ", "the cathedral", "äöü", "at"]
        {
            pieces(text)?;
        }
        Ok(())
    }

    #[test]
    fn the_start_token_and_written_out_special_ones_are_tokens() -> Result<()> {
        let plain = tokenizer(&[])?;
        assert_eq!((plain.bos(), plain.eos(), plain.ends()), (Some(1), Some(2), &[2][..]));
        let the = plain.id("▁the").into_iter();
        let with = |start: &[u32], end: &[u32]| -> Vec<u32> {
            start.iter().copied().chain(the.clone()).chain(end.iter().copied()).collect()
        };
        assert_eq!(
            plain.encode("the", true)?,
            with(&[1], &[]),
            "Llama's files want it unless they say no"
        );
        assert_eq!(plain.encode("<s>the</s>", true)?, with(&[1], &[2]), "once");
        assert_eq!(plain.decode(&with(&[1], &[2]))?, "the");
        let bare = tokenizer(&[("add_bos_token", Meta::Bool(false))])?;
        assert_eq!(bare.encode("the", true)?, with(&[], &[]));
        // Gemma puts no space before the text.
        let gemma = tokenizer(&[("add_space_prefix", Meta::Bool(false))])?;
        let ids = gemma.encode("cat the", false)?;
        let pieces: Vec<String> = ids.iter().filter_map(|id| gemma.token(*id)).collect();
        assert_eq!(
            (pieces, gemma.decode(&ids)?),
            (vec!["cat".to_owned(), "▁the".to_owned()], "cat the".to_owned())
        );
        Ok(())
    }

    #[test]
    fn words_that_come_one_by_one_keep_the_spaces_before_them() -> Result<()> {
        let tokenizer = tokenizer(&[])?;
        let ids = |text: &str| tokenizer.encode(text, false);
        let told = |mut stream: Stream, ids: &[u32]| -> Result<String> {
            let parts = ids.iter().map(|id| stream.push(&tokenizer, *id));
            let mut told = parts.collect::<Result<String>>()?;
            told.push_str(&stream.finish(&tokenizer)?);
            Ok(told)
        };
        // A special token in the middle of a text, which is not shown.
        let (the, cat) = (ids("the")?, ids("cat")?);
        let middle = [&the[..], &[1, 2], &cat].concat();
        assert_eq!(told(Stream::default(), &middle)?, "the cat");
        assert_eq!(told(Stream::default(), &cat)?, "cat");
        // A text that goes on from another one begins with its space, one that starts anew does not.
        let after =
            |prompt: &[u32]| -> Result<String> { told(Stream::after(&tokenizer, prompt)?, &cat) };
        assert_eq!(after(&the)?, " cat");
        assert_eq!(after(&ids("the ")?)?, " cat", "its own space behind that of the prompt");
        assert_eq!(after(&[1])?, "cat");
        assert_eq!(after(&[])?, "cat");
        assert_eq!(after(&ids("the🦀")?)?, " cat", "behind a letter of four tokens");
        assert_eq!(after(&ids("thé")?)?, " cat");
        Ok(())
    }

    #[test]
    fn a_vocabulary_without_scores_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.gguf");
        let text = |key: &str, value: Meta| (format!("tokenizer.ggml.{key}"), value);
        let metadata = [
            text("model", Meta::Text("llama".to_owned())),
            text("tokens", Meta::Texts(vec!["<unk>".to_owned()])),
        ];
        write(&path, &metadata, &[]).expect("written");
        let gguf = Gguf::open(&path).expect("read");
        let error = Tokenizer::from_gguf(&gguf).expect_err("refused").to_string();
        assert!(error.contains("tokenizer.ggml.scores"), "{error}");
    }
}
