//! A button.

use serde_json::Value;

use super::widget;
use crate::callback::Ended;

widget! {
    /// A button.
    ///
    /// ```
    /// use oxilab_widgets::Button;
    /// let button = Button::new("Train").with_style("success");
    /// button.on_click(|| println!("training"));
    /// ```
    Button, "Button", "ButtonStyle"
}

impl Button {
    /// A button with this text.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self::bare().with_description(description)
    }

    /// Sets its colour by meaning: `primary`, `success`, `info`, `warning`, `danger`.
    #[must_use]
    pub fn with_style(self, style: impl Into<String>) -> Self {
        self.model.set("button_style", style.into());
        self
    }

    /// Sets an icon by its name in Font Awesome: `check`, `play`.
    #[must_use]
    pub fn with_icon(self, icon: impl Into<String>) -> Self {
        self.model.set("icon", icon.into());
        self
    }

    /// Calls `callback` at every click.
    pub fn on_click<E: Ended>(&self, mut callback: impl FnMut() -> E + Send + 'static) {
        self.model.on_event(move |content| {
            if content.get("event").and_then(Value::as_str) == Some("click") {
                callback().ended();
            }
        });
    }
}
