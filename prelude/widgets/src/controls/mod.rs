//! The single widgets.

mod button;
mod choices;
mod fields;
mod labels;
mod pickers;
mod sliders;
mod ticks;

use serde_json::Value;

pub use button::Button;
pub use choices::{Dropdown, RadioButtons, Select, SelectMultiple};
pub use fields::{FloatText, IntText, Password, Text, Textarea};
pub use labels::{FloatProgress, Html, Label};
pub use pickers::{ColorPicker, DatePicker};
pub use sliders::{FloatRangeSlider, FloatSlider, IntSlider};
pub use ticks::{Checkbox, ToggleButton};

/// A widget's type: its struct, its model and the methods that all have.
macro_rules! widget {
    ($(#[$documentation:meta])* $name:ident, $model:literal, $style:literal) => {
        $(#[$documentation])*
        #[derive(Clone)]
        pub struct $name {
            model: $crate::model::Model,
        }

        impl $name {
            fn bare() -> Self {
                use $crate::model::{Model, Module};
                Self { model: Model::with_view(Module::Controls, $model, $style) }
            }

            /// Sets the label beside the widget; of a button, the text on it.
            #[must_use]
            pub fn with_description(self, text: impl Into<String>) -> Self {
                self.model.set("description", text.into());
                self
            }

            /// Sets the width as CSS has it: `300px`, `50%`.
            #[must_use]
            pub fn with_width(self, width: impl Into<String>) -> Self {
                self.model.set_in_part("layout", "width", serde_json::Value::String(width.into()));
                self
            }

            /// Sets the width of the label: `initial` for as much as it needs.
            #[must_use]
            pub fn with_description_width(self, width: impl Into<String>) -> Self {
                let width = serde_json::Value::String(width.into());
                self.model.set_in_part("style", "description_width", width);
                self
            }

            /// Greys the widget out, or makes it live again.
            pub fn set_disabled(&self, disabled: bool) {
                self.model.set("disabled", disabled);
            }
        }

        impl $crate::model::Widget for $name {
            fn model(&self) -> &$crate::model::Model {
                &self.model
            }
        }

        impl oxilab_display::Render for $name {
            fn render(&self) -> oxilab_display::MimeBundle {
                self.model.view(self.model.describe())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.model.describe())
            }
        }
    };
}

/// The methods of a widget with a value of this type, kept in the state under `value`.
macro_rules! value {
    ($name:ident, $value:ty, $read:expr) => {
        value!($name, $value, $read, serde_json::Value::from);
    };
    ($name:ident, $value:ty, $read:expr, $write:expr) => {
        impl $name {
            /// Sets the first value.
            #[must_use]
            pub fn with_value(self, value: impl Into<$value>) -> Self {
                self.set_value(value);
                self
            }

            /// The value.
            #[must_use]
            pub fn value(&self) -> $value {
                $crate::controls::read::<$value>(&self.model.get("value"), $read)
            }

            /// Sets the value in every view, and calls who waits for a change.
            pub fn set_value(&self, value: impl Into<$value>) {
                let value: $value = value.into();
                self.model.set("value", $write(value));
            }

            /// Calls `callback` with the value after every change, from either side.
            pub fn on_change<E: $crate::callback::Ended>(
                &self,
                mut callback: impl FnMut($value) -> E + Send + 'static,
            ) {
                self.model.on_change("value", move |value| {
                    callback($crate::controls::read::<$value>(value, $read)).ended();
                });
            }
        }
    };
}

use {value, widget};

fn read<T: Default>(value: &Value, read: fn(&Value) -> Option<T>) -> T {
    read(value).unwrap_or_default()
}

/// A browser may write a whole number as `3.0`.
fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "what a slider sends is near its range")]
    value.as_i64().or_else(|| value.as_f64().map(|number| number.round() as i64))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_come_back_as_their_types() {
        assert_eq!(IntText::new(3).value(), 3);
        assert_eq!(whole(&json!(3.0)), Some(3));
        assert_eq!(Text::new("é").value(), "é");
        assert!(Checkbox::new(true).value());
        assert!(!ToggleButton::new("on", false).value());
        assert_eq!(
            format!("{:?}", Label::new("x").with_description("y")),
            "Label(\"y\", value \"x\")"
        );
    }
}
