//! Fuzzes every parser of rows in request bodies:
//! `cargo run --release -p oxilab-serve --example fuzz_bodies -- 600 [PARSER]`; see [`oxilab_fuzz`]. A frame of
//! another shape than the model reads, or an error that is not the client's fault, is a fault. Language
//! models' requests are fuzzed by `oxilab-server`'s `fuzz_requests`.

use std::path::Path;

use oxilab_fuzz::{Answer, JSON, Target};

use oxilab_model::LogisticRegression;
use oxilab_model::schema::Schema;
use oxilab_serve::{ServeError, body, infer_request, with_binary};
use polars::prelude::{DataFrame, df};

const LIMIT: usize = 1_000;

type Parser = fn(&[u8], &Schema) -> Result<DataFrame, ServeError>;

const PARSERS: [(&str, Parser); 6] = [
    ("invocations", |bytes, schema| body::invocations(body::json(bytes)?, schema, LIMIT)),
    ("predict", |bytes, schema| Ok(body::predict(body::json(bytes)?, schema, LIMIT)?.0)),
    ("rows", |bytes, schema| body::rows(body::json(bytes)?, schema, LIMIT)),
    ("csv", |bytes, schema| body::csv(bytes, schema, LIMIT)),
    ("infer", |bytes, schema| infer_request(&body::json(bytes)?, schema, LIMIT)),
    ("binary", |bytes, schema| {
        // A line of JSON, then the tensors.
        let length = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let rest = bytes.get(length + 1..).unwrap_or_default();
        let request = [&bytes[..length], rest].concat();
        infer_request(&with_binary(&request, length)?, schema, LIMIT)
    }),
];

const WORDS: [&str; 21] = [
    "-0",
    "\n",
    "age",
    "plan",
    "member",
    "income",
    "columns",
    "data",
    "index",
    "inputs",
    "instances",
    "dataframe_split",
    "dataframe_records",
    "features",
    "shape",
    "datatype",
    "name",
    "FP64",
    "BYTES",
    "parameters",
    "binary_data_size",
];

fn main() {
    let schema = schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets = PARSERS.map(|(name, parser)| {
        let schema = &schema;
        Target::new(name, &folder, move |input| answer(parser(input, schema), schema))
            .with_words(JSON)
            .with_words(WORDS)
    });
    oxilab_fuzz::main(&targets)
}

fn schema() -> Schema {
    let rows = 0..100_i32;
    let train = df!(
        "age" => rows.clone().map(f64::from).collect::<Vec<_>>(),
        "income" => rows.clone().map(|i| (i % 10 != 0).then(|| f64::from(i * 7 % 90))).collect::<Vec<_>>(),
        "plan" => rows.clone().map(|i| if i % 3 == 0 { "basic" } else { "pro" }).collect::<Vec<_>>(),
        "member" => rows.clone().map(|i| i % 4 == 0).collect::<Vec<_>>(),
        "churn" => rows.map(|i| i % 5 < 2).collect::<Vec<_>>(),
    );
    let model = LogisticRegression::new().fit(&train.expect("a frame"), "churn");
    model.expect("a model").schema().clone()
}

fn answer(found: Result<DataFrame, ServeError>, schema: &Schema) -> Answer {
    match found {
        Ok(frame) if frame.height() > LIMIT || frame.width() != schema.columns.len() => {
            Err(format!("a frame of shape {:?}", frame.shape()))
        }
        Ok(frame) => Ok(format!("frame {}", frame.height().min(4))),
        Err(error) if (400..500).contains(&error.status()) => Ok(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
