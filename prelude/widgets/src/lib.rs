//! Controls with Rust callbacks: sliders, drop-downs, texts, buttons, boxes.
//!
//! * [`interact`] makes controls for a function's arguments and shows its result below them, again at
//!   every change.
//! * [`controls`]: the single widgets. [`containers`]: boxes, tabs. [`output`]: a place for results.
//!
//! The widgets are ipywidgets' own models (`@jupyter-widgets/controls` 2.0.0), so they work wherever
//! ipywidgets does: JupyterLab with `jupyterlab_widgets`, Notebook 7, VS Code. A callback runs on the
//! cells' thread while no cell runs; a change during a cell waits for its end. A callback that panics
//! or fails is an error output below the cell that shows the widget.
//!
//! ```
//! use oxilab_widgets::{IntSlider, Widget as _};
//! let slider = IntSlider::new(0..=10).with_value(3).with_description("terms");
//! slider.on_change(|terms| println!("{terms} terms"));
//! slider.set_value(4);
//! assert_eq!(slider.value(), 4);
//! ```

mod callback;
pub mod containers;
pub mod controls;
pub mod interact;
mod model;
pub mod output;
mod registry;

pub use callback::Ended;
#[doc(hidden)]
pub use callback::Returns;
pub use containers::{Accordion, Children, HBox, Tab, VBox};
pub use controls::{
    Button, Checkbox, ColorPicker, DatePicker, Dropdown, FloatProgress, FloatRangeSlider,
    FloatSlider, FloatText, Html, IntSlider, IntText, Label, Password, RadioButtons, Select,
    SelectMultiple, Text, Textarea, ToggleButton,
};
pub use interact::{Control, Controls, Number, Shown, interact};
pub use model::{Model, Widget};
pub use output::Output;
pub use registry::register;
