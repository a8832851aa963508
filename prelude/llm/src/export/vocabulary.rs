//! A tokenizer as GGUF metadata: what a GGUF file brought, or `tokenizer.json` translated.

use serde_json::Value as Json;

use crate::error::{LlmError, Result};
use crate::text::Tokenizer;
use crate::text::tokenizer::{PRE_TOKENIZERS, splits};
use crate::weights::gguf_writer::Meta;

const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;

/// The metadata `tokenizer.ggml.*` for a model whose embedding has `rows` rows.
pub(super) fn metadata(tokenizer: &Tokenizer, rows: usize) -> Result<Vec<(String, Meta)>> {
    if let Some(metadata) = tokenizer.gguf() {
        return Ok(metadata.to_vec());
    }
    let json: Json =
        serde_json::from_str(&tokenizer.json()?).map_err(|e| LlmError::Tokenizer(e.to_string()))?;
    let model = &json["model"];
    if model["type"] != "BPE" {
        return Err(unsupported(&format!("a tokenizer of type {}", model["type"])));
    }
    let pieces = model["byte_fallback"] == true;
    let (texts, mut kinds) = tokens(&json, rows)?;
    let merges = merges(model);
    let mut out: Vec<(String, Meta)> = Vec::new();
    let mut put = |key: &str, value: Meta| out.push((format!("tokenizer.ggml.{key}"), value));
    if pieces {
        let mut scores = vec![0f32; texts.len()];
        let ids: std::collections::HashMap<&str, usize> =
            texts.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
        // The earlier a merge, the better its result's score.
        for (rank, (left, right)) in merges.iter().enumerate().rev() {
            if let Some(id) = ids.get(format!("{left}{right}").as_str()) {
                #[expect(clippy::cast_precision_loss, reason = "ranks are below 2^24")]
                let score = -(rank as f32);
                scores[*id] = score;
            }
        }
        for (id, text) in texts.iter().enumerate() {
            if text.len() == 6 && text.starts_with("<0x") && text.ends_with('>') {
                kinds[id] = BYTE;
            } else if Some(text.as_str()) == model["unk_token"].as_str() {
                kinds[id] = UNKNOWN;
                put("unknown_token_id", Meta::U32(u32::try_from(id).unwrap_or_default()));
            }
        }
        put("model", Meta::Text("llama".to_owned()));
        put("pre", Meta::Text("default".to_owned()));
        put("scores", Meta::F32s(scores));
        put("add_space_prefix", Meta::Bool(prefixed(&json)));
    } else {
        put("model", Meta::Text("gpt2".to_owned()));
        put("pre", Meta::Text(pre_tokenizer(&json["pre_tokenizer"])?.to_owned()));
        put(
            "merges",
            Meta::Texts(merges.iter().map(|(left, right)| format!("{left} {right}")).collect()),
        );
    }
    put("tokens", Meta::Texts(texts));
    put("token_type", Meta::I32s(kinds));
    if let Some(bos) = tokenizer.bos() {
        put("bos_token_id", Meta::U32(bos));
        let starts = tokenizer.encode("a", true)?.first() == Some(&bos);
        put("add_bos_token", Meta::Bool(starts));
    }
    if let Some(eos) = tokenizer.eos() {
        put("eos_token_id", Meta::U32(eos));
        // An answer of a chat often ends with another token than a text.
        if let Some(turn) = tokenizer.ends().iter().rev().find(|end| **end != eos) {
            put("eot_token_id", Meta::U32(*turn));
        }
    }
    Ok(out)
}

fn tokens(json: &Json, rows: usize) -> Result<(Vec<String>, Vec<i32>)> {
    let mut texts: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
    let mut kinds = vec![UNUSED; rows];
    let mut set = |id: Option<u64>, text: &str, kind: i32| {
        let id = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < rows);
        let Some(id) = id else {
            return Err(LlmError::Tokenizer(format!(
                "token {text:?} has an id beyond the {rows} rows of the model's embedding"
            )));
        };
        (texts[id], kinds[id]) = (text.to_owned(), kind);
        Ok(())
    };
    for (text, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
        set(id.as_u64(), text, NORMAL)?;
    }
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let kind = if added["special"] == true { CONTROL } else { USER_DEFINED };
        set(added["id"].as_u64(), added["content"].as_str().unwrap_or_default(), kind)?;
    }
    Ok((texts, kinds))
}

fn merges(model: &Json) -> Vec<(&str, &str)> {
    let merges = model["merges"].as_array().into_iter().flatten();
    merges
        .filter_map(|merge| match merge {
            Json::String(text) => text.split_once(' '),
            pair => Some((pair[0].as_str()?, pair[1].as_str()?)),
        })
        .collect()
}

/// Whether a space is put before the text.
fn prefixed(json: &Json) -> bool {
    let normalizers = json["normalizer"]["normalizers"].as_array().into_iter().flatten();
    let scheme = &json["pre_tokenizer"]["prepend_scheme"];
    normalizers.chain([&json["normalizer"]]).any(|step| step["type"] == "Prepend")
        || scheme == "first"
        || scheme == "always"
}

/// llama.cpp's name of the way a text is split.
fn pre_tokenizer(json: &Json) -> Result<&'static str> {
    let one = [json.clone()];
    let steps = json["pretokenizers"].as_array().map_or(&one[..], Vec::as_slice);
    let gpt2 = splits("gpt-2").unwrap_or_default();
    let mut patterns: Vec<String> = Vec::new();
    for step in steps {
        match step["type"].as_str() {
            Some("Split") => {
                patterns.extend(step["pattern"]["Regex"].as_str().map(str::to_owned));
            }
            Some("Digits") if step["individual_digits"] == true => {
                patterns.push(r"\p{N}".to_owned());
            }
            Some("ByteLevel") if step["use_regex"] != false => {
                patterns.extend(gpt2.iter().map(|pattern| (*pattern).to_owned()));
            }
            Some("ByteLevel") => {}
            other => return Err(unsupported(&format!("the pre-tokenizer {other:?}"))),
        }
    }
    let found =
        PRE_TOKENIZERS.iter().find(|name| splits(name).is_some_and(|known| known == patterns));
    found.copied().ok_or_else(|| unsupported(&format!("text split by {patterns:?}")))
}

fn unsupported(what: &str) -> LlmError {
    LlmError::Unsupported {
        what: format!("{what} in a GGUF file"),
        supported: "BPE tokenizers of SmolLM, GPT-2, Llama 3 and Qwen, and SentencePiece BPE; use `save`",
    }
}
