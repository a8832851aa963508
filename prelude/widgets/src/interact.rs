//! Controls for a function: [`interact`].
//!
//! [`Control`] is implemented for what stands for a control (a range is a slider, a list of texts a
//! drop-down, a truth value a box to tick, a text a field) and for the widgets themselves;
//! [`Controls`] for pairs of label and control, one to six of them.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, TryLockError};

use oxilab_display::{MimeBundle, Render, display};
use oxilab_runtime::comm;
use oxilab_runtime::display::Display;

use crate::containers::VBox;
use crate::controls::{
    Checkbox, Dropdown, FloatSlider, FloatText, IntSlider, IntText, RadioButtons, Select, Text,
    Textarea, ToggleButton,
};
use crate::model::Widget;

/// Shows controls and, below them, what `function` makes of their values; again at every change.
///
/// The controls are pairs of label and control: `("degree", 1..=9)` is a slider over whole numbers,
/// `("width", 0.0..=1.0)` one over numbers, `("kind", ["sin", "cos"])` a drop-down, `("grid", true)` a
/// box to tick, `("title", "Wave")` a field; a widget of its own, such as
/// `("rate", FloatSlider::new(0.0..=1.0).with_step(0.01))`, can stand there as well. One pair gives the
/// function a value, several give it a tuple. Sliders begin in the middle.
///
/// ```
/// use oxilab_widgets::interact;
/// interact(("n", 0..=10), |n| n * n);
/// interact((("amplitude", 0.0..=2.0), ("kind", ["sin", "cos"])), |(amplitude, kind)| {
///     format!("{amplitude} {kind}")
/// });
/// ```
pub fn interact<C, R, M>(controls: C, function: impl FnMut(C::Values) -> R + Send + 'static)
where
    C: Controls,
    R: Shown<M>,
{
    let controls = Arc::new(controls.build());
    display(&VBox::new(C::widgets(&controls)));
    let mut function = function;
    let shown = Display::show(function(C::values(&controls)).bundle());
    let of = Arc::clone(&controls);
    let again = move || shown.update(function(C::values(&of)).bundle());
    let again: Again = Arc::new(Mutex::new(Box::new(again)));
    C::on_change(&controls, &again);
}

/// What every control of one [`interact`] calls.
#[doc(hidden)]
pub type Again = Arc<Mutex<Box<dyn FnMut() + Send>>>;

fn call(again: &Again) {
    match again.try_lock() {
        Ok(mut again) => again(),
        // It panicked the last time, which was reported; the values are others now.
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner()(),
        Err(TryLockError::WouldBlock) => comm::report(
            "Interrupted",
            "this function was interrupted in the middle and is lost: run its cell again",
        ),
    }
}

/// What stands for a control.
pub trait Control {
    /// What the control gives a function.
    type Value;
    /// The widget.
    type Widget: Widget + Clone + Send + Sync + 'static;

    /// Makes the widget.
    fn build(self, label: &str) -> Self::Widget;
    /// Its value.
    fn value(widget: &Self::Widget) -> Self::Value;
    /// Calls `changed` after every change.
    fn on_change(widget: &Self::Widget, changed: impl FnMut() + Send + 'static);
}

/// Numbers that have a slider.
pub trait Number: Copy {
    /// The slider.
    type Slider: Widget + Clone + Send + Sync + 'static;
    /// A slider at the middle of the range.
    fn slider(range: RangeInclusive<Self>, label: &str) -> Self::Slider;
    /// The slider's value.
    fn value(slider: &Self::Slider) -> Self;
    /// Calls `changed` after every change.
    fn on_change(slider: &Self::Slider, changed: impl FnMut() + Send + 'static);
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            type Slider = IntSlider;

            fn slider(range: RangeInclusive<Self>, label: &str) -> IntSlider {
                let wide = |number: Self| i64::try_from(number).unwrap_or(i64::MAX);
                let (start, end) = (wide(*range.start()), wide(*range.end()));
                let middle = start.midpoint(end);
                IntSlider::new(start..=end).with_value(middle).with_description(label)
            }

            fn value(slider: &IntSlider) -> Self {
                // The slider's range is this type's.
                Self::try_from(slider.value()).unwrap_or_default()
            }

            fn on_change(slider: &IntSlider, mut changed: impl FnMut() + Send + 'static) {
                slider.on_change(move |_| changed());
            }
        }
    )*};
}

whole_numbers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! numbers {
    ($number:ty, $widen:expr, $narrow:expr) => {
        impl Number for $number {
            type Slider = FloatSlider;

            fn slider(range: RangeInclusive<Self>, label: &str) -> FloatSlider {
                let (start, end): (f64, f64) = ($widen(*range.start()), $widen(*range.end()));
                let middle = start.midpoint(end);
                FloatSlider::new(start..=end).with_value(middle).with_description(label)
            }

            fn value(slider: &FloatSlider) -> Self {
                $narrow(slider.value())
            }

            fn on_change(slider: &FloatSlider, mut changed: impl FnMut() + Send + 'static) {
                slider.on_change(move |_| changed());
            }
        }
    };
}

numbers!(f64, std::convert::identity, std::convert::identity);
numbers!(f32, f64::from, narrow);

#[expect(clippy::cast_possible_truncation, reason = "the slider's ends were single precision")]
fn narrow(number: f64) -> f32 {
    number as f32
}

impl<T: Number> Control for RangeInclusive<T> {
    type Value = T;
    type Widget = T::Slider;

    fn build(self, label: &str) -> T::Slider {
        T::slider(self, label)
    }

    fn value(widget: &T::Slider) -> T {
        T::value(widget)
    }

    fn on_change(widget: &T::Slider, changed: impl FnMut() + Send + 'static) {
        T::on_change(widget, changed);
    }
}

/// A control made of something else: how to make it.
macro_rules! control {
    (impl [$($generics:tt)*] $from:ty, $widget:ty, $value:ty,
     |$own:ident, $label:ident| $build:expr) => {
        impl<$($generics)*> Control for $from {
            type Value = $value;
            type Widget = $widget;

            fn build(self, $label: &str) -> $widget {
                let $own = self;
                $build
            }

            fn value(widget: &$widget) -> $value {
                widget.value()
            }

            fn on_change(widget: &$widget, mut changed: impl FnMut() + Send + 'static) {
                widget.on_change(move |_| changed());
            }
        }
    };
    ($from:ty, $widget:ty, $value:ty, |$own:ident, $label:ident| $build:expr) => {
        control!(impl [] $from, $widget, $value, |$own, $label| $build);
    };
}

control!(bool, Checkbox, bool, |ticked, label| Checkbox::new(ticked).with_description(label));
control!(&str, Text, String, |text, label| Text::new(text).with_description(label));
control!(String, Text, String, |text, label| Text::new(text).with_description(label));
control!(impl [S: Into<String>, const N: usize] [S; N], Dropdown, String, |options, label| {
    Dropdown::new(options).with_description(label)
});
control!(impl [S: Into<String>] Vec<S>, Dropdown, String, |options, label| {
    Dropdown::new(options).with_description(label)
});

macro_rules! widgets {
    ($($widget:ty, $value:ty;)*) => {$(
        control!($widget, $widget, $value, |widget, label| {
            if widget.model().get("description").is_null() {
                widget.with_description(label)
            } else {
                widget
            }
        });
    )*};
}

widgets! {
    IntSlider, i64;
    FloatSlider, f64;
    IntText, i64;
    FloatText, f64;
    Text, String;
    Textarea, String;
    Checkbox, bool;
    ToggleButton, bool;
    Dropdown, String;
    Select, String;
    RadioButtons, String;
}

/// One to six pairs of label and control.
pub trait Controls: Sized {
    /// What a function gets: a value, or a tuple of them.
    type Values;
    /// The widgets.
    type Widgets: Send + Sync + 'static;

    /// Makes the widgets.
    fn build(self) -> Self::Widgets;
    /// The widgets in order.
    fn widgets(widgets: &Self::Widgets) -> Vec<Box<dyn Widget>>;
    /// Their values.
    fn values(widgets: &Self::Widgets) -> Self::Values;
    /// Has all of them call `again`.
    #[doc(hidden)]
    fn on_change(widgets: &Self::Widgets, again: &Again);
}

impl<C: Control> Controls for (&str, C) {
    type Values = C::Value;
    type Widgets = C::Widget;

    fn build(self) -> C::Widget {
        self.1.build(self.0)
    }

    fn widgets(widget: &C::Widget) -> Vec<Box<dyn Widget>> {
        vec![Box::new(widget.clone())]
    }

    fn values(widget: &C::Widget) -> C::Value {
        C::value(widget)
    }

    fn on_change(widget: &C::Widget, again: &Again) {
        let again = Arc::clone(again);
        C::on_change(widget, move || call(&again));
    }
}

macro_rules! controls {
    ($($control:ident $at:tt),+) => {
        impl<$($control: Control),+> Controls for ($((&str, $control),)+) {
            type Values = ($($control::Value,)+);
            type Widgets = ($($control::Widget,)+);

            fn build(self) -> Self::Widgets {
                ($(self.$at.1.build(self.$at.0),)+)
            }

            fn widgets(widgets: &Self::Widgets) -> Vec<Box<dyn Widget>> {
                vec![$(Box::new(widgets.$at.clone())),+]
            }

            fn values(widgets: &Self::Widgets) -> Self::Values {
                ($($control::value(&widgets.$at),)+)
            }

            fn on_change(widgets: &Self::Widgets, again: &Again) {
                $(
                    let called = Arc::clone(again);
                    $control::on_change(&widgets.$at, move || call(&called));
                )+
            }
        }
    };
}

controls!(A 0, B 1);
controls!(A 0, B 1, C 2);
controls!(A 0, B 1, C 2, D 3);
controls!(A 0, B 1, C 2, D 3, E 4);
controls!(A 0, B 1, C 2, D 3, E 4, F 5);

/// What a function of [`interact`] may return: whatever has a rich display, numbers, texts, nothing.
/// `M` only tells the cases apart.
#[diagnostic::on_unimplemented(
    message = "`interact` cannot show a `{Self}`",
    note = "return something with a rich display, a number, a text, or `format!(\"{{value:?}}\")`"
)]
pub trait Shown<M> {
    /// The value in all its representations.
    fn bundle(self) -> MimeBundle;
}

/// Marks what has a rich display.
#[doc(hidden)]
#[derive(Debug)]
pub struct IsRich;

/// Marks what is shown as its text.
#[doc(hidden)]
#[derive(Debug)]
pub struct IsPlain;

impl<T: Render> Shown<IsRich> for T {
    fn bundle(self) -> MimeBundle {
        self.render()
    }
}

macro_rules! plain {
    ($($plain:ty),*) => {$(
        impl Shown<IsPlain> for $plain {
            fn bundle(self) -> MimeBundle {
                MimeBundle::text(format!("{self:?}"))
            }
        }

        // Not for every `T: Shown`: what has a rich display already has it inside a `Result`.
        impl<E: std::fmt::Debug> Shown<IsPlain> for Result<$plain, E> {
            fn bundle(self) -> MimeBundle {
                match self {
                    Ok(value) => value.bundle(),
                    Err(error) => MimeBundle::text(format!("Err({error:?})")),
                }
            }
        }
    )*};
}

plain!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool, char, String,
    &str
);

impl Shown<IsPlain> for () {
    fn bundle(self) -> MimeBundle {
        MimeBundle::text("")
    }
}

impl<E: std::fmt::Debug> Shown<IsPlain> for Result<(), E> {
    fn bundle(self) -> MimeBundle {
        MimeBundle::text(self.map_or_else(|error| format!("Err({error:?})"), |()| String::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_control_becomes_one() {
        let widgets = (
            ("n", 0..=10_i32),
            ("x", 0.0..=1.0_f64),
            ("kind", ["a", "b"]),
            ("on", true),
            ("title", "T"),
        )
            .build();
        assert_eq!((widgets.0.value(), widgets.1.value()), (5, 0.5));
        assert_eq!((widgets.2.value().as_str(), widgets.3.value()), ("a", true));
        assert_eq!(widgets.4.value(), "T");
        assert_eq!(format!("{:?}", widgets.0), "IntSlider(\"n\", value 5)");
    }

    #[test]
    fn a_function_runs_at_once_and_at_every_change() {
        let slider = IntSlider::new(0..=9).with_value(2);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        interact(("n", slider.clone()), move |n| {
            log.lock().expect("lock").push(n);
            n * 2
        });
        slider.set_value(7);
        slider.set_value(7);
        assert_eq!(*seen.lock().expect("lock"), [2, 7]);
        assert_eq!(slider.model().get("description"), "n");
    }

    #[test]
    fn results_of_many_kinds_are_shown() {
        assert_eq!(Shown::bundle(3.5).plain(), "3.5");
        assert_eq!(Shown::bundle("text").plain(), "\"text\"");
        assert_eq!(Shown::bundle(()).plain(), "");
        assert_eq!(Shown::bundle("7".parse::<i64>()).plain(), "7");
        assert_eq!(
            Shown::bundle("x".parse::<i64>()).plain(),
            "Err(ParseIntError { kind: InvalidDigit })"
        );
        assert_eq!(Shown::bundle(Ok::<(), String>(())).plain(), "");
        let rich = Ok::<_, String>(oxilab_display::html("<b>x</b>"));
        assert!(Shown::bundle(rich).data.contains_key("text/html"));
        // As a closure's result, where nothing else says which way it is shown.
        interact(("q", 0..=5), |q: i64| -> Result<i64, Box<dyn std::error::Error>> { Ok(q) });
        let html = oxilab_display::html("<b>x</b>");
        assert!(Shown::bundle(html).data.contains_key("text/html"));
    }

    #[test]
    fn a_function_that_panicked_is_called_again() {
        let slider = IntSlider::new(0..=9);
        interact(("n", slider.clone()), |n: i64| {
            assert_ne!(n, 3, "not three");
            n
        });
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| slider.set_value(3)));
        assert!(panicked.is_err());
        slider.set_value(4);
        assert_eq!(slider.value(), 4);
    }
}
