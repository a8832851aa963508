//! Reading golden files and comparing numbers.

use std::path::PathBuf;

use serde_json::Value;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

pub(crate) fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub(crate) fn codes(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| u32::try_from(v.as_u64().unwrap()).unwrap()).collect()
}

pub(crate) fn bools(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect()
}

/// Equal to `tolerance`, relative to the size of large values.
#[track_caller]
pub(crate) fn close(name: &str, found: f64, expected: f64, tolerance: f64) {
    let size = expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance * size, "{name}: {found} is not {expected}");
}

#[track_caller]
pub(crate) fn all_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        close(&format!("{name}[{index}]"), *found, *expected, tolerance);
    }
}
