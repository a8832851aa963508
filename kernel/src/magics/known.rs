//! What a word of a magic can mean: [`Known`].

use oxilab_protocol::VariableInfo;

use super::{MagicContext, MagicResult, Surroundings};

/// Variables and files, as they are when the magic is called.
#[derive(Default)]
pub(super) struct Known {
    variables: Vec<VariableInfo>,
    surroundings: Surroundings,
}

/// What a word that is to be a model names.
#[derive(Debug, PartialEq)]
pub(super) enum Meant {
    /// A variable.
    Variable,
    /// A file or a folder, as it was written.
    File,
    /// `NAME@ALIAS` or `models:/…`.
    Registered,
}

impl Known {
    pub(super) async fn of(context: &mut dyn MagicContext) -> MagicResult<Self> {
        let variables = context.variables().await?;
        Ok(Self { variables, surroundings: context.surroundings().clone() })
    }

    pub(super) fn has(&self, variable: &str) -> bool {
        self.type_of(variable).is_some()
    }

    fn type_of(&self, variable: &str) -> Option<&str> {
        let found = self.variables.iter().find(|known| known.name == variable);
        found.map(|known| known.type_name.as_str())
    }

    /// What `word` names. What looks like a path may be made by the time that it is read; a bare word
    /// that is nothing yet is a slip.
    pub(super) fn model(&self, word: &str) -> Result<Meant, String> {
        if self.has(word) {
            return Ok(Meant::Variable);
        }
        let is_path = word.contains(['/', '.']);
        if word.starts_with("models:/") || (word.contains('@') && !is_path) {
            return Ok(Meant::Registered);
        }
        if is_path || self.surroundings.absolute(word).exists() {
            return Ok(Meant::File);
        }
        Err(format!("there is no variable, file or model `{word}`"))
    }

    /// Whether a variable can be what a server serves; what it is if not.
    pub(super) fn fitted(&self, variable: &str) -> Result<(), String> {
        let Some(name) = self.type_of(variable) else { return Ok(()) };
        // Pointers to a model are taken as the model.
        let mut bare = name.trim_end_matches('>').trim_start_matches('&');
        for pointer in ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"] {
            bare = bare.strip_prefix(pointer).unwrap_or(bare);
        }
        if bare.rsplit("::").next() == Some("FittedModel") && !bare.contains('<') {
            return Ok(());
        }
        Err(format!(
            "`{variable}` is {}, and a fitted model is wanted (what `fit` returns), a path, or NAME@ALIAS",
            short(name)
        ))
    }

    /// Whether a variable can have a `save`; what it is if it surely has none.
    pub(super) fn saves(&self, variable: &str) -> Result<(), String> {
        let Some(name) = self.type_of(variable) else { return Ok(()) };
        let of_std = ["alloc::", "core::", "std::", "polars", "&str", "(", "["];
        let pointer = ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];
        let is_std = of_std.iter().any(|start| name.starts_with(start))
            && !pointer.iter().any(|start| name.starts_with(start));
        let is_plain = !name.contains("::") && name.starts_with(|c: char| c.is_ascii_lowercase());
        if !is_std && !is_plain {
            return Ok(());
        }
        Err(format!("`{variable}` is {}, and a model with a `save` is wanted", short(name)))
    }
}

/// A type without its paths: `alloc::vec::Vec<f64>` is `Vec<f64>`.
fn short(name: &str) -> String {
    let (mut out, mut word) = (String::new(), String::new());
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                out.push_str(&word);
                word.clear();
                out.push(c);
            }
        }
    }
    format!("a `{out}{word}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(type_name: &str) -> Known {
        let info = serde_json::json!({"name": "x", "type_name": type_name, "shape": null, "bytes": 1, "preview": ""});
        let variables = vec![serde_json::from_value(info).expect("variable")];
        Known { variables, ..Known::default() }
    }

    #[test]
    fn a_word_is_a_variable_a_file_or_a_registered_model() {
        let known = known("f64");
        assert_eq!(known.model("x"), Ok(Meant::Variable));
        assert_eq!(known.model("a/b"), Ok(Meant::File));
        assert_eq!(known.model("churn@prod"), Ok(Meant::Registered));
        assert!(
            known.model("nope").expect_err("nothing").contains("variable, file or model `nope`")
        );
    }

    #[test]
    fn only_models_are_served_and_registered() {
        for name in
            ["oxilab_model::fitted::FittedModel", "alloc::sync::Arc<oxilab_model::FittedModel>"]
        {
            assert_eq!(known(name).fitted("x"), Ok(()), "{name}");
            assert_eq!(known(name).saves("x"), Ok(()), "{name}");
        }
        for name in ["f64", "alloc::vec::Vec<oxilab_model::FittedModel>", "alloc::string::String"] {
            known(name).fitted("x").expect_err(name);
            known(name).saves("x").expect_err(name);
        }
        assert_eq!(known("oxilab_nn::Module").saves("x"), Ok(()));
        let said = known("alloc::vec::Vec<f64>").fitted("x").expect_err("a list");
        assert!(said.contains("`x` is a `Vec<f64>`"), "{said}");
    }
}
