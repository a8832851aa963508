//! Answers of an MLflow server, read without trust: what is missing is empty.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::record::{Input, Metric, ModelVersion, RunRecord, Status};

/// Text, or a number as text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// An integer; protobuf writes 64 bits as text at times.
pub(super) fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn float(value: &Value) -> f64 {
    match value {
        Value::String(text) => match text.as_str() {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            other => other.parse().unwrap_or(f64::NAN),
        },
        other => other.as_f64().unwrap_or(f64::NAN),
    }
}

pub(super) fn pairs(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect()
}

pub(super) fn metric(value: &Value) -> Metric {
    Metric {
        key: text(&value["key"]),
        value: float(&value["value"]),
        step: integer(&value["step"]),
        timestamp: integer(&value["timestamp"]),
    }
}

pub(super) fn run(value: &Value, experiment: &str) -> RunRecord {
    let (info, data) = (&value["info"], &value["data"]);
    let metrics = data["metrics"].as_array().into_iter().flatten().map(metric);
    RunRecord {
        id: text(&info["run_id"]),
        name: text(&info["run_name"]),
        experiment: if experiment.is_empty() {
            text(&info["experiment_id"])
        } else {
            experiment.to_owned()
        },
        status: Status::parse(&text(&info["status"])),
        start_time: integer(&info["start_time"]),
        end_time: Some(integer(&info["end_time"])).filter(|end| *end > 0),
        params: pairs(&data["params"]),
        metrics: metrics.map(|metric| (metric.key, metric.value)).collect(),
        tags: pairs(&data["tags"]),
    }
}

/// A `dataset_input` of a run.
pub(super) fn input(value: &Value) -> Input {
    let dataset = &value["dataset"];
    let inner = |name: &str, key: &str| -> Value {
        let parsed: Option<Value> = serde_json::from_str(&text(&dataset[name])).ok();
        parsed.map_or(Value::Null, |parsed| parsed[key].clone())
    };
    let name = text(&dataset["name"]);
    let source = text(&inner("source", "uri"));
    Input {
        digest: text(&dataset["digest"]),
        context: pairs(&value["tags"]).remove("mlflow.data.context").unwrap_or_default(),
        source: if source == name { String::new() } else { source },
        schema: inner("schema", "mlflow_colspec").to_string(),
        rows: u64::try_from(integer(&inner("profile", "num_rows"))).unwrap_or_default(),
        name,
    }
}

pub(super) fn version(value: &Value) -> ModelVersion {
    ModelVersion {
        name: text(&value["name"]),
        version: u32::try_from(integer(&value["version"])).unwrap_or_default(),
        run_id: text(&value["run_id"]),
        source: text(&value["source"]),
        aliases: Vec::new(),
        created: integer(&value["creation_timestamp"]),
    }
}
