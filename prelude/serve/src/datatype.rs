//! The types of tensors in the Open Inference Protocol: [`check`].

use serde_json::Value;

/// Whether the values of an input have the type that it says; what is wrong if not. One that says none is
/// taken at its values, as clients leave it away.
pub(crate) fn check(kind: Option<&Value>, values: &[Value]) -> Result<(), String> {
    let Some(kind) = kind else { return Ok(()) };
    let fits: fn(&Value) -> bool = match kind.as_str().unwrap_or_default() {
        "BOOL" => Value::is_boolean,
        "UINT8" | "UINT16" | "UINT32" | "UINT64" => |value| whole(value, 0.0),
        "INT8" | "INT16" | "INT32" | "INT64" => |value| whole(value, f64::NEG_INFINITY),
        "FP16" | "BF16" | "FP32" | "FP64" => Value::is_number,
        // Rows of several kinds have no other type.
        "BYTES" => |_| true,
        _ => {
            return Err(format!(
                "its datatype {kind} is none; use BOOL, UINT8 to UINT64, INT8 to INT64, FP16 to FP64 or \
                 BYTES"
            ));
        }
    };
    // A value that is missing has no type.
    match values.iter().position(|value| !value.is_null() && !fits(value)) {
        Some(at) => Err(format!("value {at} is {}, its datatype is {kind}", values[at])),
        None => Ok(()),
    }
}

/// JSON writers give whole numbers a fraction of zero now and then.
fn whole(value: &Value, least: f64) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0 && number >= least)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_type_that_is_said() {
        for (kind, good, bad) in [
            ("BOOL", json!([true, null]), json!([1])),
            ("UINT8", json!([1, 2.0]), json!([-1])),
            ("INT64", json!([-1]), json!([1.5])),
            ("FP32", json!([1, 1.5, null]), json!([true])),
            ("FP64", json!([]), json!(["1"])),
        ] {
            let told = |values: &Value| check(Some(&json!(kind)), values.as_array().expect("list"));
            assert_eq!(told(&good), Ok(()), "{kind}");
            assert!(told(&bad).expect_err(kind).contains(kind));
        }
        assert!(check(Some(&json!("BANANA")), &[]).expect_err("none").contains("BANANA"));
        assert!(check(Some(&json!(7)), &[]).is_err());
        assert_eq!(check(None, &[json!(1)]), Ok(()));
    }
}
