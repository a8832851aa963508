//! Fuzzes the parser of model files, most of them with a right checksum:
//! `cargo run --release -p oxilab-model-format --example fuzz_model -- 600`; see [`oxilab_fuzz`].

use std::collections::BTreeMap;
use std::path::Path;

use oxilab_fuzz::{Answer, Target};
use oxilab_model_format::{Column, ColumnKind, Header, ModelFile, Schema, Section, Task};
use sha2::{Digest as _, Sha256};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let target = Target::new("model", folder, answer).with_seeds([whole()]).with_seal(seal);
    oxilab_fuzz::main(&[target])
}

fn answer(bytes: &[u8]) -> Answer {
    match ModelFile::from_bytes(bytes) {
        Ok(file) => match file.to_bytes().and_then(|bytes| ModelFile::from_bytes(&bytes)) {
            Ok(_) => Ok("read".to_owned()),
            Err(error) => Err(format!("what was read cannot be written and read again: {error}")),
        },
        Err(error) => Ok(error.to_string()),
    }
}

fn seal(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len().saturating_sub(32));
    let checksum = Sha256::digest(&*bytes);
    bytes.extend_from_slice(&checksum);
}

/// A whole file with a section of each type.
fn whole() -> Vec<u8> {
    let column = Column {
        name: "colour".into(),
        dtype: "str".into(),
        kind: ColumnKind::Categorical,
        categories: vec!["blue".into(), "red".into()],
        nullable: true,
    };
    let schema = Schema {
        task: Task::Binary,
        columns: vec![column],
        target: Some("y".into()),
        target_dtype: Some("bool".into()),
        classes: vec!["false".into(), "true".into()],
    };
    let mut file = ModelFile::new(Header {
        learner: "Dummy".into(),
        kind: "dummy".into(),
        schema,
        params: serde_json::json!({"season": null}),
        metrics: BTreeMap::from([("auc".to_owned(), 0.5)]),
        libraries: BTreeMap::from([("oxilab-model".to_owned(), "0.1.0".to_owned())]),
        training_rows: 10,
        training_data: "00ff".into(),
    });
    file.put("values", Section::F64(vec![0.25, 0.75]));
    file.put("sizes", Section::U32(vec![1, 2, 3]));
    file.put("text", Section::Bytes(b"tree".to_vec()));
    file.to_bytes().unwrap_or_default()
}
