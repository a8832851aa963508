//! Fields to type into.

use serde_json::Value;

use super::{text, value, whole, widget};

widget! {
    /// A field for a whole number.
    IntText, "IntText", "DescriptionStyle"
}
value!(IntText, i64, whole);

impl IntText {
    /// A field with this number.
    #[must_use]
    pub fn new(value: i64) -> Self {
        Self::bare().with_value(value)
    }
}

widget! {
    /// A field for a number.
    FloatText, "FloatText", "DescriptionStyle"
}
value!(FloatText, f64, Value::as_f64);

impl FloatText {
    /// A field with this number.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self::bare().with_value(value)
    }
}

widget! {
    /// A line of text.
    ///
    /// ```
    /// use oxilab_widgets::Text;
    /// let name = Text::new("Ada").with_placeholder("your name");
    /// name.on_change(|name| println!("hello, {name}"));
    /// ```
    Text, "Text", "TextStyle"
}
value!(Text, String, text);

impl Text {
    /// A line with this text.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self::bare().with_value(value)
    }

    /// Sets what stands in the field while it is empty.
    #[must_use]
    pub fn with_placeholder(self, text: impl Into<String>) -> Self {
        self.model.set("placeholder", text.into());
        self
    }

    /// Changes only when the field is left or Enter is pressed.
    #[must_use]
    pub fn with_continuous_update(self, continuous: bool) -> Self {
        self.model.set("continuous_update", continuous);
        self
    }
}

widget! {
    /// Lines of text.
    Textarea, "Textarea", "TextStyle"
}
value!(Textarea, String, text);

impl Textarea {
    /// A field with this text.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self::bare().with_value(value)
    }
}

widget! {
    /// A line whose text is not shown; a notebook saved with its widgets holds it all the same.
    Password, "Password", "TextStyle"
}
value!(Password, String, text);

impl Password {
    /// An empty line with this hint in it.
    #[must_use]
    pub fn new(placeholder: impl Into<String>) -> Self {
        let field = Self::bare();
        field.model.set("placeholder", placeholder.into());
        field
    }
}
