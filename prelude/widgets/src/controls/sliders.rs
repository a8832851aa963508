//! Sliders.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{value, whole, widget};

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
        let (min, max) = in_order(&range);
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

widget! {
    /// A slider with two handles.
    ///
    /// ```
    /// use oxilab_widgets::FloatRangeSlider;
    /// let window = FloatRangeSlider::new(0.0..=10.0).with_value((2.0, 5.0));
    /// window.on_change(|(from, to)| println!("{from} to {to}"));
    /// assert_eq!(window.value(), (2.0, 5.0));
    /// ```
    FloatRangeSlider, "FloatRangeSlider", "SliderStyle"
}
value!(FloatRangeSlider, (f64, f64), pair, |(low, high)| json!([low, high]));

impl FloatRangeSlider {
    /// A slider over this range, all of it chosen, with a hundred steps. A range that is the wrong way
    /// round is turned; what is not finite counts as 0.
    #[must_use]
    pub fn new(range: RangeInclusive<f64>) -> Self {
        let (min, max) = in_order(&range);
        let slider = Self::bare();
        slider.model.set_all([
            ("min", json!(min)),
            ("max", json!(max)),
            ("step", json!(round_step((max - min) / 100.0))),
            ("value", json!([min, max])),
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
}

fn pair(value: &Value) -> Option<(f64, f64)> {
    Some((value.get(0)?.as_f64()?, value.get(1)?.as_f64()?))
}

/// The ends of a range, the lower first.
fn in_order(range: &RangeInclusive<f64>) -> (f64, f64) {
    let finite = |number: f64| if number.is_finite() { number } else { 0.0 };
    let (start, end) = (finite(*range.start()), finite(*range.end()));
    (start.min(end), start.max(end))
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

#[cfg(test)]
mod tests {
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
    fn two_handles_are_a_pair() {
        let slider = FloatRangeSlider::new(5.0..=1.0);
        assert_eq!(slider.value(), (1.0, 5.0));
        slider.set_value((2.0, 3.0));
        assert_eq!(slider.model.get("value"), json!([2.0, 3.0]));
    }
}
