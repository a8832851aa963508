//! Tokenizers: `tokenizer.json`, or the one inside a GGUF file rebuilt as such.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Value as Json, json};
use tokenizers::Tokenizer as Inner;

use super::sentence_piece;
use crate::error::{LlmError, Result};
use crate::weights::gguf::{Gguf, Value, meta};
use crate::weights::gguf_writer::Meta;

/// Text to token ids and back.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::Llm;
/// let llm = Llm::load(folder)?;
/// let ids = llm.tokenizer().encode("the cat", false)?;
/// assert_eq!(llm.tokenizer().decode(&ids)?, "the cat");
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Inner,
    add_bos: bool,
    bos: Option<u32>,
    eos: Option<u32>,
    ends: Vec<u32>,
    /// What each token stands for, made when it is first asked for.
    bytes: Arc<OnceLock<Vec<Vec<u8>>>>,
    /// What a GGUF file said of it, to be written again as it was.
    gguf: Option<Arc<Vec<(String, Meta)>>>,
}

impl Tokenizer {
    /// From `tokenizer.json` and what `tokenizer_config.json` and `generation_config.json` say beside
    /// it.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let inner = parse(&bytes).map_err(|reason| LlmError::Damaged {
            path: path.clone(),
            format: "tokenizer.json",
            reason,
        })?;
        let config = read_json(&folder.join("tokenizer_config.json"));
        let token = |key: &str| {
            let value = config.get(key)?;
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            inner.token_to_id(text)
        };
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        let mut ends: Vec<u32> = eos.into_iter().collect();
        for file in ["generation_config.json", "config.json"] {
            let json = read_json(&folder.join(file));
            let ids = match json.get("eos_token_id") {
                Some(Json::Array(ids)) => ids.clone(),
                Some(id) => vec![id.clone()],
                None => Vec::new(),
            };
            ends.extend(
                ids.iter().filter_map(Json::as_u64).filter_map(|id| u32::try_from(id).ok()),
            );
        }
        ends.sort_unstable();
        ends.dedup();
        // The file's own post-processor adds what the model wants at the start.
        Ok(Self { inner, add_bos: false, bos, eos, ends, bytes: Arc::default(), gguf: None })
    }

    /// From the vocabulary in a GGUF file.
    ///
    /// # Errors
    /// When the vocabulary is missing, damaged or of a kind that is not supported.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let tokens = gguf
            .texts("tokenizer.ggml.tokens")
            .ok_or_else(|| gguf.bad("metadata tokenizer.ggml.tokens is missing"))?;
        let json = match gguf.text("tokenizer.ggml.model") {
            Some("gpt2") => byte_level(gguf, &tokens)?,
            Some("llama") => sentence_piece::json(gguf, &tokens)?,
            other => {
                return Err(LlmError::Unsupported {
                    what: format!("tokenizer {:?}", other.unwrap_or("of no kind")),
                    supported: "gpt2 (byte-level BPE) and llama (SentencePiece BPE)",
                });
            }
        };
        let bytes = serde_json::to_vec(&json).map_err(|e| LlmError::Tokenizer(e.to_string()))?;
        let inner =
            parse(&bytes).map_err(|reason| gguf.bad(format!("its vocabulary: {reason}")))?;
        let id = |key: &str| {
            gguf.number(&format!("tokenizer.ggml.{key}_token_id"))
                .filter(|id| *id < tokens.len())
                .and_then(|id| u32::try_from(id).ok())
        };
        let (bos, eos) = (id("bos"), id("eos"));
        let mut ends: Vec<u32> = eos.into_iter().chain(id("eot")).collect();
        let known = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<end_of_turn>", "<|end|>"];
        ends.extend(known.iter().filter_map(|text| inner.token_to_id(text)));
        ends.sort_unstable();
        ends.dedup();
        let spm = gguf.text("tokenizer.ggml.model") == Some("llama");
        let add_bos = gguf.flag("tokenizer.ggml.add_bos_token").unwrap_or(spm);
        let metadata = gguf.metadata().iter().filter_map(|(key, value)| {
            let ours = key.starts_with("tokenizer.ggml.");
            ours.then(|| Some((key.clone(), meta(value)?))).flatten()
        });
        let metadata = Some(Arc::new(metadata.collect()));
        Ok(Self { inner, add_bos, bos, eos, ends, bytes: Arc::default(), gguf: metadata })
    }

    /// Token ids of a text; special tokens written out in it count as such. With `start` the model's
    /// start token is put before it where the model wants one.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str, start: bool) -> Result<Vec<u32>> {
        let encoded =
            self.inner.encode(text, start).map_err(|e| LlmError::Tokenizer(e.to_string()))?;
        let mut ids = encoded.get_ids().to_vec();
        if let Some(bos) = self.bos.filter(|bos| start && self.add_bos && ids.first() != Some(bos))
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of token ids, special tokens left out.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|e| LlmError::Tokenizer(e.to_string()))
    }

    /// How a token is written in the vocabulary.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The bytes that a token stands for in a text, which need not be whole characters; none for
    /// special tokens.
    #[must_use]
    pub fn bytes(&self, id: u32) -> &[u8] {
        let table = self.bytes.get_or_init(|| super::bytes::table(&self.inner));
        table.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a token is in the text, as special ones are not.
    fn is_written(&self, id: u32) -> bool {
        let special = self.inner.get_added_vocabulary();
        self.token(id).is_some_and(|token| !special.is_special_token(&token))
    }

    /// Whether an answer ends with this token.
    #[must_use]
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The tokens that end an answer.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The token that ends a text, of those that end an answer the one that the model's files call so.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos.or(self.ends.last().copied())
    }

    /// The start token.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// What the GGUF file that it came from says of it.
    pub(crate) fn gguf(&self) -> Option<&[(String, Meta)]> {
        self.gguf.as_deref().map(Vec::as_slice)
    }

    /// The library's own.
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The text of `tokenizer.json`.
    pub(crate) fn json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| LlmError::Tokenizer(e.to_string()))
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        crate::files::write(path, self.json()?.as_bytes())
    }
}

/// What bytes that are no character are decoded to.
const BROKEN: char = '\u{fffd}';

/// More tokens than a character has.
const LONGEST_CHARACTER: usize = 8;

/// Text from tokens as they come: a character of several tokens is held back until it is whole.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The tokens of the last whole characters that were told.
    before: Vec<u32>,
    pending: Vec<u32>,
}

impl Stream {
    /// The text of tokens that go on from a prompt, at its very end: with the space of their first word.
    pub(crate) fn after(tokenizer: &Tokenizer, prompt: &[u32]) -> Result<Self> {
        // As few as make whole characters. A part of one at the end is lost with what follows it.
        for length in 1..=prompt.len().min(LONGEST_CHARACTER) {
            let last = &prompt[prompt.len() - length..];
            if !tokenizer.is_written(last[0]) {
                break;
            }
            if !tokenizer.decode(last)?.contains(BROKEN) {
                return Ok(Self { before: last.to_vec(), ..Self::default() });
            }
        }
        Ok(Self::default())
    }

    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        self.pending.push(id);
        self.take(tokenizer, false)
    }

    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        self.take(tokenizer, true)
    }

    fn take(&mut self, tokenizer: &Tokenizer, all: bool) -> Result<String> {
        // Some decoders strip the space of the first token: decode with those before. Of bytes that stand
        // for a character it needs all: where one is missing, the bytes behind it are lost as well.
        let start = tokenizer.decode(&self.before)?;
        let whole = tokenizer.decode(&[&self.before[..], &self.pending].concat())?;
        let text = whole.strip_prefix(&start).unwrap_or(&whole);
        let broken = text.ends_with(BROKEN);
        if broken && !all && self.pending.len() < LONGEST_CHARACTER {
            return Ok(String::new());
        }
        let told = std::mem::take(&mut self.pending);
        // What is not in the text, as a special token, does not make the next word the first one.
        if !broken && told.iter().any(|id| tokenizer.is_written(*id)) {
            self.before = told;
        }
        Ok(text.to_owned())
    }
}

/// A `tokenizer.json`, or why it is none. The library panics on JSON that breaks off within a decoder,
/// and on some values that it cannot use.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Inner, String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|e| e.to_string())?;
    match std::panic::catch_unwind(|| Inner::from_bytes(bytes)) {
        Ok(parsed) => parsed.map_err(|e| e.to_string()),
        Err(_) => Err("the tokenizer in it has values that cannot be used".to_owned()),
    }
}

fn read_json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Json::Null)
}

/// A name of each way to split.
pub(crate) const PRE_TOKENIZERS: [&str; 4] = ["smollm", "gpt-2", "llama-bpe", "qwen2"];

/// The patterns that split text before byte-level BPE, by llama.cpp's name of the pre-tokenizer.
pub(crate) fn splits(pre: &str) -> Option<Vec<&'static str>> {
    const GPT2: &str =
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    Some(match pre {
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => {
            vec![r"\p{N}", GPT2]
        }
        "gpt-2" | "phi-2" | "default" | "mpt" | "olmo" | "jais" => vec![GPT2],
        "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" | "dbrx" => vec![LLAMA3],
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" => vec![QWEN2],
        _ => return None,
    })
}

fn byte_level(gguf: &Gguf, tokens: &[&str]) -> Result<Json> {
    let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
    let patterns = splits(pre).ok_or_else(|| LlmError::Unsupported {
        what: format!("pre-tokenizer {pre:?}"),
        supported: "smollm, gpt-2, llama-bpe and qwen2",
    })?;
    let merges = gguf
        .texts("tokenizer.ggml.merges")
        .ok_or_else(|| gguf.bad("metadata tokenizer.ggml.merges is missing"))?;
    let merges: Vec<Json> = merges
        .iter()
        .map(|merge| {
            let (left, right) =
                merge.split_once(' ').ok_or_else(|| gguf.bad(format!("the merge {merge:?}")))?;
            Ok(json!([left, right]))
        })
        .collect::<Result<_>>()?;
    let mut steps: Vec<Json> = patterns
        .iter()
        .map(|pattern| {
            json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
        })
        .collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    steps.push(bytes.clone());
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(gguf, tokens),
        "normalizer": if pre == "qwen2" { json!({"type": "NFC"}) } else { Json::Null },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": null,
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": pre == "llama-bpe",
            "vocab": vocabulary(tokens), "merges": merges,
        },
    }))
}

pub(super) fn vocabulary(tokens: &[&str]) -> Json {
    Json::Object(
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect(),
    )
}

/// Control (3) and user-defined (4) tokens.
pub(super) fn added_tokens(gguf: &Gguf, tokens: &[&str]) -> Vec<Json> {
    let Some(Value::Array(kinds)) = gguf.metadata().get("tokenizer.ggml.token_type") else {
        return Vec::new();
    };
    tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter(|(_, (_, kind))| matches!(kind, Value::Unsigned(3 | 4)))
        .map(|(id, (token, kind))| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == Value::Unsigned(3),
            })
        })
        .collect()
}
