//! What fine-tuning tells whoever tracks fits: parameters, the examples' digest, the adapter.

use std::path::Path;

use oxilab_runtime::training::{Data, Fitted};
use sha2::{Digest as _, Sha256};

use super::{Method, SftTrainer};
use crate::llm::Llm;
use crate::tune::examples::Example;

impl SftTrainer {
    pub(super) fn params(&self, examples: usize) -> Vec<(String, String)> {
        let mut params = vec![
            ("examples", examples.to_string()),
            ("epochs", self.epochs.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("accumulation", self.accumulate.to_string()),
            ("learning_rate", self.learning_rate.to_string()),
            ("warmup", self.warmup.to_string()),
            ("weight_decay", self.weight_decay.to_string()),
            ("clip_norm", self.clip_norm.to_string()),
            ("max_length", self.max_length.to_string()),
            ("packing", self.packing.to_string()),
            ("seed", self.seed.to_string()),
        ];
        params.push(match &self.method {
            Method::Adapter(lora) => ("method", format!("{lora:?}")),
            Method::Full => ("method", "all weights".to_owned()),
        });
        params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The examples, by the digest of what they say.
pub(super) fn data(examples: &[Example]) -> Data {
    let mut digest = Sha256::new();
    for example in examples {
        digest.update(format!("{example:?}\n"));
    }
    Data {
        context: "training".to_owned(),
        digest: hex::encode(digest.finalize()),
        rows: examples.len() as u64,
        columns: vec![("example".to_owned(), "str".to_owned())],
    }
}

/// A tuned model: its adapter, in PEFT's layout, is what is kept.
pub(super) struct Adapter<'a>(pub(super) &'a Llm);

impl Fitted for Adapter<'_> {
    fn save(&self, folder: &Path) -> Result<String, String> {
        const NAME: &str = "adapter";
        self.0.save_adapter(folder.join(NAME)).map_err(|error| error.to_string())?;
        Ok(NAME.to_owned())
    }
}
