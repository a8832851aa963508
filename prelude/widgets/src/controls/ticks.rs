//! What is on or off.

use serde_json::Value;

use super::{value, widget};

widget! {
    /// A box to tick.
    Checkbox, "Checkbox", "CheckboxStyle"
}
value!(Checkbox, bool, Value::as_bool);

impl Checkbox {
    /// A box that is ticked or not.
    #[must_use]
    pub fn new(value: bool) -> Self {
        let checkbox = Self::bare().with_value(value);
        checkbox.model.set("indent", false);
        checkbox
    }
}

widget! {
    /// A button that stays pressed.
    ToggleButton, "ToggleButton", "ToggleButtonStyle"
}
value!(ToggleButton, bool, Value::as_bool);

impl ToggleButton {
    /// A button with this text, pressed or not.
    #[must_use]
    pub fn new(description: impl Into<String>, value: bool) -> Self {
        Self::bare().with_description(description).with_value(value)
    }
}
