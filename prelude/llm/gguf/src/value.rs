//! Metadata.

/// A metadata value; integers are widened.
///
/// ```
/// use oxilab_gguf::{Gguf, Value};
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/circle/merged-llama-0.gguf");
/// let file = Gguf::open(path)?;
/// assert_eq!(file.metadata()["general.type"], Value::Text("model".to_owned()));
/// # Ok::<(), oxilab_gguf::GgufError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned or non-negative signed integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A float.
    Float(f64),
    /// A Boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
}
