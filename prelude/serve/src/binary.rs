//! Tensors behind the JSON of an Open Inference request, as `tritonclient` sends them: [`with_binary`].

use serde_json::{Value, json};

use crate::body;
use crate::error::{Result, ServeError};

/// Reads a request whose first `length` bytes are JSON and whose rest holds, in order, the data of the
/// inputs that have a parameter `binary_data_size`; gives it with all data as JSON.
///
/// # Errors
/// [`ServeError::Body`] if the sizes do not fit, [`ServeError::Field`] naming the tensor.
pub fn with_binary(bytes: &[u8], length: usize) -> Result<Value> {
    let Some((head, mut rest)) = bytes.split_at_checked(length) else {
        let problem = format!("its JSON is to have {length} bytes, it has {} in all", bytes.len());
        return Err(ServeError::body(problem));
    };
    let mut value = body::json(head)?;
    let inputs = value.get_mut("inputs").and_then(Value::as_array_mut);
    for input in inputs.into_iter().flatten() {
        let size = input.pointer("/parameters/binary_data_size").cloned();
        let Some(size) = size else { continue };
        let name = input.get("name").and_then(Value::as_str).unwrap_or("inputs").to_owned();
        let fits = size.as_u64().and_then(|size| usize::try_from(size).ok());
        let Some((data, more)) = fits.and_then(|size| rest.split_at_checked(size)) else {
            let problem = format!("`binary_data_size` is {size}, {} bytes are left", rest.len());
            return Err(ServeError::field(name, problem));
        };
        rest = more;
        let kind = input.get("datatype").and_then(Value::as_str).unwrap_or_default();
        let values = values(kind, data).map_err(|problem| ServeError::field(name, problem))?;
        let Some(input) = input.as_object_mut() else { continue };
        input.insert("data".to_owned(), Value::Array(values));
    }
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(ServeError::body(format!("{} bytes belong to no tensor", rest.len())))
    }
}

macro_rules! numbers {
    ($data:expr, $kind:ty) => {{
        let (parts, rest) = $data.as_chunks::<{ size_of::<$kind>() }>();
        if !rest.is_empty() {
            return Err(format!("{} bytes are no whole number of values", $data.len()));
        }
        parts.iter().map(|part| json!(<$kind>::from_le_bytes(*part))).collect()
    }};
}

/// The values of a tensor, which are little-endian. Numbers that JSON has no word for become null.
fn values(kind: &str, data: &[u8]) -> std::result::Result<Vec<Value>, String> {
    Ok(match kind {
        "FP64" => numbers!(data, f64),
        "FP32" => numbers!(data, f32),
        "INT64" => numbers!(data, i64),
        "INT32" => numbers!(data, i32),
        "INT16" => numbers!(data, i16),
        "INT8" => numbers!(data, i8),
        "UINT64" => numbers!(data, u64),
        "UINT32" => numbers!(data, u32),
        "UINT16" => numbers!(data, u16),
        "UINT8" => numbers!(data, u8),
        "BOOL" => data.iter().map(|byte| json!(*byte != 0)).collect(),
        "BYTES" => texts(data)?,
        other => return Err(format!("tensors of type {other:?} are not read from bytes")),
    })
}

/// Texts with their length (four bytes) before each.
fn texts(mut data: &[u8]) -> std::result::Result<Vec<Value>, String> {
    let mut out = Vec::new();
    while !data.is_empty() {
        let broken = || "its texts do not fit their lengths".to_owned();
        let (length, rest) = data.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| broken())?;
        let (text, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        let text =
            std::str::from_utf8(text).map_err(|error| format!("a text is not UTF-8: {error}"))?;
        out.push(json!(text));
        data = rest;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str, data: &[u8]) -> Result<Value> {
        let head = json!({"inputs": [{"name": "x", "datatype": kind, "shape": [2],
            "parameters": {"binary_data_size": data.len()}}]})
        .to_string();
        let bytes = [head.as_bytes(), data].concat();
        with_binary(&bytes, head.len())
    }

    #[test]
    fn tensors_are_read_from_bytes() {
        let read =
            |kind: &str, data: &[u8]| request(kind, data).expect(kind)["inputs"][0]["data"].clone();
        let numbers = [1.5_f64.to_le_bytes(), f64::NAN.to_le_bytes()].concat();
        assert_eq!(read("FP64", &numbers), json!([1.5, null]));
        assert_eq!(read("INT32", &[1, 0, 0, 0, 255, 255, 255, 255]), json!([1, -1]));
        assert_eq!(read("BOOL", &[0, 1]), json!([false, true]));
        assert_eq!(read("BYTES", &[1, 0, 0, 0, b'a', 0, 0, 0, 0]), json!(["a", ""]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (kind, data) in [
            ("FP64", &[1_u8, 2][..]),
            ("BYTES", &[9, 0, 0, 0, 1]),
            ("BYTES", &[1, 0, 0, 0, 255]),
            ("BYTES", &[1]),
            ("FP8", &[1]),
        ] {
            assert_eq!(request(kind, data).expect_err(kind).blamed(), Some("x"));
        }
        assert_eq!(with_binary(b"{}", 9).expect_err("short").status(), 400);
        assert_eq!(with_binary(b"{}x", 2).expect_err("long").status(), 400);
        let more = br#"{"inputs":[{"name":"x","parameters":{"binary_data_size":5}}]}"#;
        assert_eq!(with_binary(more, more.len()).expect_err("none").blamed(), Some("x"));
    }
}
