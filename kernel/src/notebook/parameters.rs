//! `--param name=value`: a cell of `let`s after the one tagged `parameters`, as papermill does it.

use serde_json::Value;
use thiserror::Error;

use crate::notebook::format::{CodeCell, Notebook};

/// Tag of the cell that holds the defaults.
const DEFAULTS: &str = "parameters";
/// Tag of the cell that is made here.
const INJECTED: &str = "injected-parameters";

/// Why a parameter cannot be injected.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// There is no `=`.
    #[error("`{text}` is not a parameter: write name=value")]
    NoValue {
        /// What was given.
        text: String,
    },
    /// The name is not a Rust identifier.
    #[error("`{name}` cannot be the name of a Rust variable")]
    Name {
        /// What was given.
        name: String,
    },
    /// The value has no one type in Rust.
    #[error("the value {value} of `{name}` has no type in Rust: {reason}")]
    Value {
        /// The parameter.
        name: String,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

/// A parameter: a name and a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    name: String,
    value: Value,
}

impl Parameter {
    /// Parses `name=value`. A value that is not JSON is a string.
    ///
    /// # Errors
    /// When there is no `=` or the name is not a Rust identifier.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| ParameterError::NoValue { text: text.to_owned() })?;
        let name = name.trim();
        if syn::parse_str::<syn::Ident>(name).is_err() {
            return Err(ParameterError::Name { name: name.to_owned() });
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { name: name.to_owned(), value })
    }

    /// The statement that binds it.
    ///
    /// # Errors
    /// When the value has no type in Rust: null, an empty list, a list of different types.
    pub fn statement(&self) -> Result<String, ParameterError> {
        let expression = expression(&self.value).map_err(|reason| ParameterError::Value {
            name: self.name.clone(),
            value: self.value.to_string(),
            reason,
        })?;
        Ok(format!("let {} = {expression};", self.name))
    }
}

fn expression(value: &Value) -> Result<String, &'static str> {
    Ok(match value {
        Value::Null => return Err("null stands for any type; leave the parameter out"),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) if i32::try_from(value).is_ok() => value.to_string(),
            (Some(value), ..) => format!("{value}i64"),
            (None, Some(value), _) => format!("{value}u64"),
            (None, None, Some(value)) => format!("{value:?}"),
            (None, None, None) => return Err("it is no number that Rust has"),
        },
        // Debug of a string is a Rust literal.
        Value::String(text) => format!("{text:?}"),
        Value::Array(values) => {
            let elements = values.iter().map(expression).collect::<Result<Vec<_>, _>>()?;
            match values.as_slice() {
                [] => return Err("an empty list stands for any element"),
                [first, rest @ ..] if rest.iter().all(|value| kind(value) == kind(first)) => {
                    format!("vec![{}]", elements.join(", "))
                }
                numbers if numbers.iter().all(Value::is_number) => {
                    let floats = numbers.iter().filter_map(Value::as_f64);
                    let floats: Vec<_> = floats.map(|value| format!("{value:?}")).collect();
                    format!("vec![{}]", floats.join(", "))
                }
                _ => return Err("its elements are of different types"),
            }
        }
        Value::Object(_) => format!("serde_json::json!({value})"),
    })
}

/// Values of one kind have one Rust type.
fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) if number.is_f64() => 2,
        Value::Number(number)
            if number.as_i64().is_some_and(|value| i32::try_from(value).is_ok()) =>
        {
            3
        }
        Value::Number(_) => 4,
        Value::String(_) => 5,
        Value::Array(_) => 6,
        Value::Object(_) => 7,
    }
}

/// Puts a cell with the parameters after the cell tagged `parameters`, or first where there is none;
/// a cell that an earlier run has injected is replaced.
///
/// # Errors
/// When a value has no type in Rust.
pub fn inject(notebook: &mut Notebook, parameters: &[Parameter]) -> Result<(), ParameterError> {
    if parameters.is_empty() {
        return Ok(());
    }
    let mut lines = vec!["// Parameters".to_owned()];
    for parameter in parameters {
        lines.push(parameter.statement()?);
    }
    let with_tag = |notebook: &Notebook, tag: &str| {
        (0..notebook.cells.len())
            .find(|index| notebook.code(*index).is_some_and(|code| code.has_tag(tag)))
    };
    let index = match (with_tag(notebook, INJECTED), with_tag(notebook, DEFAULTS)) {
        (Some(index), _) => {
            notebook.cells.remove(index);
            index
        }
        (None, Some(index)) => index + 1,
        (None, None) => 0,
    };
    notebook.insert(index, CodeCell::new(lines.join("\n"), &[INJECTED]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn statement(text: &str) -> String {
        Parameter::parse(text).and_then(|parameter| parameter.statement()).expect("is a parameter")
    }

    #[test]
    fn values_become_rust() {
        assert_eq!(statement("epochs=3"), "let epochs = 3;");
        assert_eq!(statement("big=5000000000"), "let big = 5000000000i64;");
        assert_eq!(statement("rate=1e-3"), "let rate = 0.001;");
        assert_eq!(statement("whole=2.0"), "let whole = 2.0;");
        assert_eq!(statement("fast=true"), "let fast = true;");
        assert_eq!(statement("name=iris data"), r#"let name = "iris data";"#);
        assert_eq!(statement(r#"name="3""#), r#"let name = "3";"#);
        assert_eq!(statement(r#"path=C:\"x""#), r#"let path = "C:\\\"x\"";"#);
        assert_eq!(statement("sizes=[1, 2]"), "let sizes = vec![1, 2];");
        assert_eq!(statement("rates=[1, 0.5]"), "let rates = vec![1.0, 0.5];");
        assert_eq!(statement("empty="), r#"let empty = "";"#);
        assert_eq!(statement("a=b=c"), r#"let a = "b=c";"#);
        assert_eq!(statement(r#"o={"a":1}"#), r#"let o = serde_json::json!({"a":1});"#);
    }

    #[test]
    fn what_rust_cannot_hold_is_refused() {
        assert!(matches!(Parameter::parse("x"), Err(ParameterError::NoValue { .. })));
        for name in ["1x=2", "fn=2", "a b=2", "=2", "a;drop()=1"] {
            assert!(matches!(Parameter::parse(name), Err(ParameterError::Name { .. })), "{name}");
        }
        for text in ["x=null", "x=[]", "x=[1, \"a\"]"] {
            let refused = Parameter::parse(text).expect("parses").statement();
            assert!(matches!(refused, Err(ParameterError::Value { .. })), "{text}");
        }
    }

    #[test]
    fn the_cell_stands_after_the_defaults_and_is_replaced() {
        let text = r#"{"cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "x"},
            {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "let n = 1;",
             "outputs": [], "execution_count": null},
            {"cell_type": "code", "metadata": {}, "source": "n", "outputs": [],
             "execution_count": null}
            ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#;
        let mut notebook = Notebook::parse(text, Path::new("x")).expect("parses");
        for value in ["n=2", "n=3"] {
            inject(&mut notebook, &[Parameter::parse(value).expect("parses")]).expect("injects");
        }
        assert_eq!(notebook.cells.len(), 4);
        let injected = notebook.code(2).expect("is code");
        assert_eq!(injected.source, "// Parameters\nlet n = 3;");
        assert!(injected.has_tag("injected-parameters"));
        assert_eq!(injected.id.as_ref().map(String::len), Some(8));
    }
}
