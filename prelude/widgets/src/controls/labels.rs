//! What cells write and nobody types.

use serde_json::{Value, json};

use super::{text, value, widget};

widget! {
    /// A text that cells change.
    Label, "Label", "LabelStyle"
}
value!(Label, String, text);

impl Label {
    /// A label with this text.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self::bare().with_value(value)
    }
}

widget! {
    /// HTML that cells change.
    Html, "HTML", "HTMLStyle"
}
value!(Html, String, text);

impl Html {
    /// A place for this HTML.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self::bare().with_value(value)
    }
}

widget! {
    /// A bar that cells move; a loop over `progress(..)` makes its own.
    ///
    /// ```
    /// use oxilab_widgets::FloatProgress;
    /// let bar = FloatProgress::new(200.0).with_description("rows");
    /// bar.set_value(50.0);
    /// assert_eq!(bar.value(), 50.0);
    /// ```
    FloatProgress, "FloatProgress", "ProgressStyle"
}
value!(FloatProgress, f64, Value::as_f64);

impl FloatProgress {
    /// A bar from 0 to `max`, at 0. What is not finite counts as 1.
    #[must_use]
    pub fn new(max: f64) -> Self {
        let bar = Self::bare();
        let max = if max.is_finite() { max } else { 1.0 };
        bar.model.set_all([("min", json!(0.0)), ("max", json!(max)), ("value", json!(0.0))]);
        bar
    }

    /// Sets its colour by meaning: `success`, `info`, `warning`, `danger`.
    #[must_use]
    pub fn with_style(self, style: impl Into<String>) -> Self {
        self.model.set("bar_style", style.into());
        self
    }
}
