//! The single widgets.

use std::ops::RangeInclusive;

use oxilab_display::{MimeBundle, Render};
use serde_json::{Value, json};

use crate::callback::Ended;
use crate::model::{Model, Module, Widget};

/// A widget's type: its struct, its model and the methods that all have.
macro_rules! widget {
    ($(#[$documentation:meta])* $name:ident, $model:literal, $style:literal) => {
        $(#[$documentation])*
        #[derive(Clone)]
        pub struct $name {
            model: Model,
        }

        impl $name {
            fn bare() -> Self {
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
                self.model.set_in_part("layout", "width", Value::String(width.into()));
                self
            }

            /// Sets the width of the label: `initial` for as much as it needs.
            #[must_use]
            pub fn with_description_width(self, width: impl Into<String>) -> Self {
                self.model.set_in_part("style", "description_width", Value::String(width.into()));
                self
            }

            /// Greys the widget out, or makes it live again.
            pub fn set_disabled(&self, disabled: bool) {
                self.model.set("disabled", disabled);
            }
        }

        impl Widget for $name {
            fn model(&self) -> &Model {
                &self.model
            }
        }

        impl Render for $name {
            fn render(&self) -> MimeBundle {
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
                read::<$value>(&self.model.get("value"), $read)
            }

            /// Sets the value in every view, and calls who waits for a change.
            pub fn set_value(&self, value: impl Into<$value>) {
                let value: $value = value.into();
                self.model.set("value", value);
            }

            /// Calls `callback` with the value after every change, from either side.
            pub fn on_change<E: Ended>(
                &self,
                mut callback: impl FnMut($value) -> E + Send + 'static,
            ) {
                self.model.on_change("value", move |value| {
                    callback(read::<$value>(value, $read)).ended();
                });
            }
        }
    };
}

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

widget! {
    /// A slider over whole numbers.
    ///
    /// ```
    /// use oxilab_widgets::IntSlider;
    /// let slider = IntSlider::new(0..=100).with_value(7).with_step(7).with_description("days");
    /// slider.on_change(|days| println!("{days} days"));
    /// assert_eq!(slider.value(), 7);
    /// ```
    IntSlider, "IntSlider", "SliderStyle"
}
value!(IntSlider, i64, whole);

impl IntSlider {
    /// A slider over this range, at its start, with step 1. A range that is the wrong way round is
    /// turned.
    #[must_use]
    pub fn new(range: RangeInclusive<i64>) -> Self {
        let (start, end) = range.into_inner();
        let (min, max) = (start.min(end), start.max(end));
        let slider = Self::bare();
        slider.model.set_all([
            ("min", json!(min)),
            ("max", json!(max)),
            ("step", json!(1)),
            ("value", json!(min)),
        ]);
        slider
    }

    /// Sets the step.
    #[must_use]
    pub fn with_step(self, step: i64) -> Self {
        self.model.set("step", step.max(1));
        self
    }

    /// Changes only when the handle is let go, for callbacks that take long.
    #[must_use]
    pub fn with_continuous_update(self, continuous: bool) -> Self {
        self.model.set("continuous_update", continuous);
        self
    }
}

widget! {
    /// A slider over numbers.
    ///
    /// ```
    /// use oxilab_widgets::FloatSlider;
    /// let slider = FloatSlider::new(0.0..=1.0).with_value(0.5).with_step(0.05);
    /// assert_eq!(slider.value(), 0.5);
    /// ```
    FloatSlider, "FloatSlider", "SliderStyle"
}
value!(FloatSlider, f64, Value::as_f64);

impl FloatSlider {
    /// A slider over this range, at its start, with a hundred steps. A range that is the wrong way
    /// round is turned; what is not finite counts as 0.
    #[must_use]
    pub fn new(range: RangeInclusive<f64>) -> Self {
        let finite = |number: f64| if number.is_finite() { number } else { 0.0 };
        let (start, end) = (finite(*range.start()), finite(*range.end()));
        let (min, max) = (start.min(end), start.max(end));
        let slider = Self::bare();
        slider.model.set_all([
            ("min", json!(min)),
            ("max", json!(max)),
            ("step", json!(round_step((max - min) / 100.0))),
            ("value", json!(min)),
        ]);
        slider
    }

    /// Sets the step.
    #[must_use]
    pub fn with_step(self, step: f64) -> Self {
        if step.is_finite() && step > 0.0 {
            self.model.set("step", step);
        }
        self
    }

    /// Changes only when the handle is let go, for callbacks that take long.
    #[must_use]
    pub fn with_continuous_update(self, continuous: bool) -> Self {
        self.model.set("continuous_update", continuous);
        self
    }

    /// Sets how the number beside the slider is written, in d3's format: `.3f`, `.1e`.
    #[must_use]
    pub fn with_format(self, format: impl Into<String>) -> Self {
        self.model.set("readout_format", format.into());
        self
    }
}

/// The largest of 1, 2 and 5 times a power of ten that is no larger.
#[expect(clippy::cast_possible_truncation, reason = "an exponent of a double")]
fn round_step(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 0.1;
    }
    let power = 10_f64.powi(step.log10().floor() as i32);
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * power <= step * 1.000_001);
    let rounded = factor.unwrap_or(1.0) * power;
    // 0.1 rather than 0.10000000000000002.
    format!("{rounded:.2e}").parse().unwrap_or(rounded)
}

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

/// The methods of a widget that chooses one of several texts.
macro_rules! choice {
    ($name:ident) => {
        impl $name {
            /// A choice of these texts, the first chosen.
            #[must_use]
            pub fn new<S: Into<String>>(options: impl IntoIterator<Item = S>) -> Self {
                let choice = Self::bare();
                choice.set_options(options);
                choice
            }

            /// Chooses a text, if it is one of the options.
            #[must_use]
            pub fn with_value(self, value: impl AsRef<str>) -> Self {
                self.set_value(value);
                self
            }

            /// The options.
            #[must_use]
            pub fn options(&self) -> Vec<String> {
                options(&self.model)
            }

            /// Offers other texts and chooses the first.
            pub fn set_options<S: Into<String>>(&self, options: impl IntoIterator<Item = S>) {
                let labels: Vec<String> = options.into_iter().map(Into::into).collect();
                let first = if labels.is_empty() { Value::Null } else { json!(0) };
                self.model.set_all([("_options_labels", json!(labels)), ("index", first)]);
            }

            /// The text chosen; empty without one.
            #[must_use]
            pub fn value(&self) -> String {
                self.index().and_then(|at| self.options().into_iter().nth(at)).unwrap_or_default()
            }

            /// The position of the text chosen, from 0.
            #[must_use]
            pub fn index(&self) -> Option<usize> {
                position(&self.model.get("index"))
            }

            /// Chooses a text, if it is one of the options, and calls who waits for a change.
            pub fn set_value(&self, value: impl AsRef<str>) {
                let found = self.options().iter().position(|option| option == value.as_ref());
                if let Some(index) = found {
                    self.model.set("index", index);
                }
            }

            /// Calls `callback` with the text chosen after every change, from either side.
            pub fn on_change<E: Ended>(
                &self,
                mut callback: impl FnMut(String) -> E + Send + 'static,
            ) {
                let model = self.model.downgrade();
                self.model.on_change("index", move |index| {
                    let options = model.upgrade().map(|model| options(&model));
                    let at = position(index);
                    let chosen = options.zip(at).and_then(|(all, at)| all.into_iter().nth(at));
                    if let Some(chosen) = chosen {
                        callback(chosen).ended();
                    }
                });
            }
        }
    };
}

fn options(model: &Model) -> Vec<String> {
    let labels = model.get("_options_labels");
    labels.as_array().into_iter().flatten().filter_map(text).collect()
}

fn position(index: &Value) -> Option<usize> {
    index.as_u64().and_then(|index| usize::try_from(index).ok())
}

widget! {
    /// A list that unfolds.
    ///
    /// ```
    /// use oxilab_widgets::Dropdown;
    /// let kind = Dropdown::new(["linear", "tree", "boosted"]).with_value("tree");
    /// assert_eq!((kind.value().as_str(), kind.index()), ("tree", Some(1)));
    /// ```
    Dropdown, "Dropdown", "DescriptionStyle"
}
choice!(Dropdown);

widget! {
    /// A list that shows several lines.
    Select, "Select", "DescriptionStyle"
}
choice!(Select);

widget! {
    /// Round buttons of which one is pressed.
    RadioButtons, "RadioButtons", "DescriptionStyle"
}
choice!(RadioButtons);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn sliders_keep_their_range_and_value() {
        let slider = IntSlider::new(10..=-10).with_step(0);
        assert_eq!((slider.model.get("min"), slider.model.get("max")), (json!(-10), json!(10)));
        assert_eq!((slider.value(), slider.model.get("step")), (-10, json!(1)));
        let slider = FloatSlider::new(f64::NAN..=1.0).with_step(-1.0).with_value(0.25);
        assert_eq!((slider.model.get("min"), slider.value()), (json!(0.0), 0.25));
        assert_eq!(format!("{slider:?}"), "FloatSlider(value 0.25)");
    }

    #[test]
    fn steps_are_round() {
        let rounded: Vec<f64> = [0.1, 0.03, 7.0, 0.0, 1e-9].map(round_step).to_vec();
        assert_eq!(rounded, [0.1, 0.02, 5.0, 0.1, 1e-9]);
    }

    #[test]
    fn a_choice_is_told_by_its_text() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let choice = Dropdown::new(["a", "b"]);
        let log = Arc::clone(&seen);
        choice.on_change(move |text| log.lock().expect("lock").push(text));
        choice.set_value("b");
        choice.set_value("nothing");
        assert_eq!(choice.value(), "b");
        choice.set_options(["c"]);
        assert_eq!(*seen.lock().expect("lock"), ["b", "c"]);
        assert_eq!(Dropdown::new(Vec::<String>::new()).value(), "");
    }

    #[test]
    fn values_come_back_as_their_types() {
        assert_eq!(IntText::new(3).value(), 3);
        assert_eq!(whole(&json!(3.0)), Some(3));
        assert_eq!(Text::new("é").value(), "é");
        assert!(Checkbox::new(true).value());
        assert!(!ToggleButton::new("on", false).value());
        assert_eq!(
            Label::new("x").with_description("y").model.describe(),
            "Label(\"y\", value \"x\")"
        );
    }
}
