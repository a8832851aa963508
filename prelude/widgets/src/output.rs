//! A place for results among widgets.

use oxilab_display::{MimeBundle, Render};
use serde_json::{Value, json};

use crate::model::{Model, Module, Widget};

/// A widget that shows values as a cell's output would.
///
/// ```
/// use oxilab_display::html;
/// use oxilab_widgets::Output;
/// let place = Output::new();
/// place.show(&html("<b>first</b>"));
/// place.show(&html("<b>instead</b>"));
/// place.append(&html("and another"));
/// ```
#[derive(Clone, Debug)]
pub struct Output {
    model: Model,
}

impl Output {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        let model = Model::with_view(Module::Output, "Output", "");
        model.set_all([("outputs", json!([])), ("msg_id", json!(""))]);
        Self { model }
    }

    /// Shows a value instead of what is there.
    pub fn show<T: Render + ?Sized>(&self, value: &T) {
        self.model.set("outputs", json!([output(value)]));
    }

    /// Shows a value below what is there.
    pub fn append<T: Render + ?Sized>(&self, value: &T) {
        let mut outputs = self.model.get("outputs");
        if let Value::Array(outputs) = &mut outputs {
            outputs.push(output(value));
        }
        self.model.set("outputs", outputs);
    }

    /// Shows nothing.
    pub fn clear(&self) {
        self.model.set("outputs", json!([]));
    }
}

fn output<T: Render + ?Sized>(value: &T) -> Value {
    let MimeBundle { data, metadata } = value.render();
    json!({"output_type": "display_data", "data": data, "metadata": metadata})
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Widget for Output {
    fn model(&self) -> &Model {
        &self.model
    }
}

impl Render for Output {
    fn render(&self) -> MimeBundle {
        self.model.view("Output()".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use oxilab_display::html;

    use super::*;

    #[test]
    fn outputs_are_replaced_appended_and_cleared() {
        let place = Output::new();
        place.show(&html("<i>a</i>"));
        place.show(&html("<i>b</i>"));
        place.append(&html("<i>c</i>"));
        let outputs = place.model().get("outputs");
        let texts: Vec<&str> = outputs
            .as_array()
            .expect("list")
            .iter()
            .filter_map(|o| o["data"]["text/html"].as_str())
            .collect();
        assert_eq!(texts, ["<i>b</i>", "<i>c</i>"]);
        place.clear();
        assert_eq!(place.model().get("outputs"), json!([]));
    }
}
