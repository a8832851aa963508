//! A widget's model: its state on both sides of a comm.
//!
//! The comm is opened when the model is first shown or named by another, so that the `with_*` methods
//! before cost nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use oxilab_display::{MimeBundle, Render};
use oxilab_runtime::comm::{Comm, Message};
use serde_json::{Map, Value, json};

use crate::callback::Callbacks;
use crate::registry;

/// Version of the widgets' messaging protocol.
const PROTOCOL: &str = "2.1.0";
/// The target at which ipywidgets' front ends expect models.
const TARGET: &str = "jupyter.widget";
/// The MIME type of a widget's view.
const VIEW: &str = "application/vnd.jupyter.widget-view+json";

/// The module that a model comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Module {
    Controls,
    Base,
    Output,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::Controls => "@jupyter-widgets/controls",
            Self::Base => "@jupyter-widgets/base",
            Self::Output => "@jupyter-widgets/output",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Controls | Self::Base => "2.0.0",
            Self::Output => "1.0.0",
        }
    }
}

/// What every widget can do.
pub trait Widget: Render {
    /// The widget's model.
    fn model(&self) -> &Model;

    /// Takes the widget off the page.
    fn close(&self) {
        self.model().close();
    }
}

impl<W: Widget + ?Sized> Widget for &W {
    fn model(&self) -> &Model {
        (**self).model()
    }
}

impl<W: Widget + ?Sized> Widget for Box<W> {
    fn model(&self) -> &Model {
        (**self).model()
    }
}

/// The state that a widget shares with its views. Clones share it.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
}

/// A model that is not kept alive, for callbacks that the model itself holds.
#[derive(Clone, Debug)]
pub(crate) struct WeakModel(Weak<Inner>);

impl WeakModel {
    pub(crate) fn upgrade(&self) -> Option<Model> {
        self.0.upgrade().map(|inner| Model { inner })
    }
}

#[derive(Debug)]
struct Inner {
    comm: OnceLock<Comm>,
    state: Mutex<Map<String, Value>>,
    /// Models that the state names, by key.
    parts: Mutex<BTreeMap<String, Part>>,
    changes: Mutex<BTreeMap<String, Arc<Callbacks>>>,
    events: Callbacks,
}

#[derive(Clone, Debug)]
enum Part {
    One(Model),
    Many(Vec<Model>),
}

impl Part {
    /// As the state names it; opens what is not open.
    fn reference(&self) -> Value {
        let name = |model: &Model| json!(format!("IPY_MODEL_{}", model.id()));
        match self {
            Self::One(model) => name(model),
            Self::Many(models) => models.iter().map(name).collect(),
        }
    }
}

impl Model {
    /// A model with a view: `IntSlider` makes `IntSliderModel` and `IntSliderView`.
    pub(crate) fn with_view(module: Module, name: &str, style: &str) -> Self {
        let model = Self::bare(module, name, Some(name));
        model.set_part("layout", Self::bare(Module::Base, "Layout", Some("Layout")));
        if !style.is_empty() {
            model.set_part("style", Self::bare(Module::Controls, style, None));
        }
        model
    }

    fn bare(module: Module, name: &str, view: Option<&str>) -> Self {
        let mut state = Map::new();
        let mut set = |key: &str, value: Value| state.insert(key.to_owned(), value);
        set("_model_module", json!(module.name()));
        set("_model_module_version", json!(module.version()));
        set("_model_name", json!(format!("{name}Model")));
        // Styles and layouts have the base's view, whose name is `StyleView` or `LayoutView`.
        let view_module = if view.is_some() { module } else { Module::Base };
        set("_view_module", json!(view_module.name()));
        set("_view_module_version", json!(view_module.version()));
        set("_view_name", json!(format!("{}View", view.unwrap_or("Style"))));
        let inner = Inner {
            comm: OnceLock::new(),
            state: Mutex::new(state),
            parts: Mutex::default(),
            changes: Mutex::default(),
            events: Callbacks::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn downgrade(&self) -> WeakModel {
        WeakModel(Arc::downgrade(&self.inner))
    }

    /// The comm's id, by which front ends know the model; opens the comm.
    #[must_use]
    pub fn id(&self) -> &str {
        self.comm().id()
    }

    fn comm(&self) -> &Comm {
        self.inner.comm.get_or_init(|| {
            let data = json!({"state": self.full_state(), "buffer_paths": []});
            let comm = Comm::open(TARGET, data, json!({"version": PROTOCOL}), &[]);
            let model = self.downgrade();
            comm.on_message(move |_, message| {
                if let Some(model) = model.upgrade() {
                    model.received(message);
                }
            });
            registry::add(comm.id(), self);
            comm
        })
    }

    /// All of the state, models by name.
    pub(crate) fn full_state(&self) -> Map<String, Value> {
        let parts = lock(&self.inner.parts).clone();
        let mut state = lock(&self.inner.state).clone();
        state.extend(parts.into_iter().map(|(key, part)| (key, part.reference())));
        state
    }

    /// A value of the state; null when it was never set.
    #[must_use]
    pub fn get(&self, key: &str) -> Value {
        lock(&self.inner.state).get(key).cloned().unwrap_or_default()
    }

    /// Sets a value of the state, tells the views, and calls who waits for the change. Setting what is
    /// there already does nothing.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        self.set_all([(key, value.into())]);
    }

    /// Sets several values in one message.
    pub(crate) fn set_all<const N: usize>(&self, values: [(&str, Value); N]) {
        let changed: Vec<(&str, Value)> = {
            let mut state = lock(&self.inner.state);
            values
                .into_iter()
                .filter_map(|(key, value)| Some((key, fitting(&state, key, &value)?)))
                .collect::<Vec<_>>()
                .into_iter()
                .filter(|(key, value)| {
                    state.insert((*key).to_owned(), value.clone()).as_ref() != Some(value)
                })
                .collect()
        };
        if changed.is_empty() {
            return;
        }
        let sent = changed.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.send(&sent);
        for (key, value) in changed {
            self.changed(key, &value);
        }
    }

    /// Names another model in the state.
    pub(crate) fn set_part(&self, key: &str, model: Model) {
        self.put_part(key, &Part::One(model));
    }

    /// Names a list of models in the state; the model itself is left out.
    pub(crate) fn set_parts(&self, key: &str, mut models: Vec<Model>) {
        models.retain(|model| !Arc::ptr_eq(&model.inner, &self.inner));
        self.put_part(key, &Part::Many(models));
    }

    fn put_part(&self, key: &str, part: &Part) {
        lock(&self.inner.parts).insert(key.to_owned(), part.clone());
        if self.inner.comm.get().is_some() {
            self.send(&Map::from_iter([(key.to_owned(), part.reference())]));
        }
    }

    /// A value of the layout or of the style, where the model has one.
    pub(crate) fn set_in_part(&self, part: &str, key: &str, value: Value) {
        let found = lock(&self.inner.parts).get(part).cloned();
        if let Some(Part::One(model)) = found {
            model.set(key, value);
        }
    }

    fn send(&self, state: &Map<String, Value>) {
        if let Some(comm) = self.inner.comm.get() {
            comm.send(json!({"method": "update", "state": state, "buffer_paths": []}), &[]);
        }
    }

    /// Calls `function` with the new value of `key` after every change, from either side.
    pub(crate) fn on_change(&self, key: &str, function: impl FnMut(&Value) + Send + 'static) {
        let callbacks = Arc::clone(lock(&self.inner.changes).entry(key.to_owned()).or_default());
        callbacks.add(function);
    }

    /// Calls `function` with the content of every event that is no change, for example a click.
    pub(crate) fn on_event(&self, function: impl FnMut(&Value) + Send + 'static) {
        self.inner.events.add(function);
    }

    fn changed(&self, key: &str, value: &Value) {
        let callbacks = lock(&self.inner.changes).get(key).cloned();
        if let Some(callbacks) = callbacks {
            callbacks.call(value);
        }
    }

    /// A message from a view.
    fn received(&self, message: &Message) {
        if message.kind == "comm_close" {
            registry::remove(self);
            return;
        }
        match message.data.get("method").and_then(Value::as_str) {
            Some("update") => {
                let Some(Value::Object(state)) = message.data.get("state") else { return };
                let (mut changed, mut corrected) = (Vec::new(), Map::new());
                {
                    let mut own = lock(&self.inner.state);
                    // Models are named by us alone.
                    let parts = lock(&self.inner.parts);
                    for (key, sent) in state.iter().filter(|(key, _)| !parts.contains_key(*key)) {
                        let now = own.get(key).cloned().unwrap_or_default();
                        let value = fitting(&own, key, sent).unwrap_or(now);
                        if value != *sent {
                            corrected.insert(key.clone(), value.clone());
                        }
                        if own.insert(key.clone(), value.clone()).as_ref() != Some(&value) {
                            changed.push((key, value));
                        }
                    }
                }
                if !corrected.is_empty() {
                    // The view shows what it sent, and that is not the value.
                    self.send(&corrected);
                }
                for (key, value) in changed {
                    self.changed(key, &value);
                }
            }
            Some("request_state") => self.send(&self.full_state()),
            Some("custom") => {
                self.inner.events.call(message.data.get("content").unwrap_or(&Value::Null));
            }
            _ => {}
        }
    }

    /// Takes the widget off the page, its layout and style with it; its children stay.
    pub fn close(&self) {
        let Some(comm) = self.inner.comm.get() else { return };
        registry::remove(self);
        comm.close(json!({}));
        for part in ["layout", "style"] {
            let found = lock(&self.inner.parts).get(part).cloned();
            if let Some(Part::One(model)) = found {
                model.close();
            }
        }
    }

    /// What shows the widget in an output.
    pub(crate) fn view(&self, plain: String) -> MimeBundle {
        let view = json!({"version_major": 2, "version_minor": 0, "model_id": self.id()});
        MimeBundle::text(plain).with(VIEW, view)
    }

    /// `IntSlider(value 3)`, for plain text.
    pub(crate) fn describe(&self) -> String {
        let state = lock(&self.inner.state);
        let text = |key: &str| state.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("_model_name").trim_end_matches("Model").to_owned();
        let label = text("description");
        let mut inside = Vec::new();
        if !label.is_empty() {
            inside.push(format!("{label:?}"));
        }
        for key in ["value", "index"] {
            if let Some(value) = state.get(key).filter(|value| !value.is_null()) {
                inside.push(format!("{key} {value}"));
            }
        }
        format!("{name}({})", inside.join(", "))
    }

    pub(crate) fn open_id(&self) -> Option<&str> {
        self.inner.comm.get().map(Comm::id)
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a widget takes of a new value: a number stays between `min` and `max`, as in ipywidgets; what is
/// no number, where one was, is not taken.
fn fitting(state: &Map<String, Value>, key: &str, value: &Value) -> Option<Value> {
    if key != "value" || !state.get("value").is_some_and(Value::is_number) {
        return Some(value.clone());
    }
    let number = value.as_f64()?;
    let end = |key: &str| Some((state.get(key)?, state.get(key)?.as_f64()?));
    match (end("min"), end("max")) {
        (Some((min, least)), _) if number < least => Some(min.clone()),
        (_, Some((max, most))) if number > most => Some(max.clone()),
        _ => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn message(data: Value) -> Message {
        Message { kind: "comm_msg".to_owned(), data, buffers: Vec::new() }
    }

    #[test]
    fn a_model_names_its_modules_and_parts() {
        let model = Model::with_view(Module::Controls, "IntSlider", "SliderStyle");
        let state = model.full_state();
        assert_eq!(state["_model_name"], "IntSliderModel");
        assert_eq!(state["_view_name"], "IntSliderView");
        assert_eq!(state["_model_module"], "@jupyter-widgets/controls");
        assert_eq!(state["_model_module_version"], "2.0.0");
        let layout = state["layout"].as_str().expect("named");
        assert!(layout.starts_with("IPY_MODEL_"), "{layout}");
        let bundle = model.view("slider".to_owned());
        assert_eq!(bundle.data[VIEW]["model_id"], model.id());
    }

    #[test]
    fn a_views_update_changes_the_state_and_calls_once() {
        let model = Model::with_view(Module::Controls, "IntSlider", "SliderStyle");
        let sum = Arc::new(AtomicI64::new(0));
        let added = Arc::clone(&sum);
        model.on_change("value", move |value| {
            added.fetch_add(value.as_i64().unwrap_or(1000), Ordering::Relaxed);
        });
        let update = message(json!({"method": "update", "state": {"value": 5, "layout": "x"}}));
        model.received(&update);
        model.received(&update);
        assert_eq!((sum.load(Ordering::Relaxed), model.get("value")), (5, json!(5)));
        model.set("value", 7);
        assert_eq!(sum.load(Ordering::Relaxed), 12);
        assert!(model.full_state()["layout"].as_str().is_some_and(|name| name != "x"));
    }

    #[test]
    fn a_slider_keeps_to_its_range_and_to_numbers() {
        let slider = crate::IntSlider::new(0..=9).with_value(20);
        assert_eq!(slider.value(), 9);
        slider.set_value(-3);
        assert_eq!(slider.value(), 0);
        let sent = |value| message(json!({"method": "update", "state": {"value": value}}));
        slider.model().received(&sent(json!(4)));
        slider.model().received(&sent(json!("seven")));
        slider.model().received(&sent(json!(null)));
        assert_eq!(slider.value(), 4);
        slider.model().received(&sent(json!(99)));
        assert_eq!(slider.value(), 9);
        let text = crate::Text::new("a");
        text.model().received(&sent(json!("b")));
        assert_eq!(text.value(), "b");
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let model = Model::with_view(Module::Controls, "Button", "ButtonStyle");
        for data in [json!(null), json!({"method": "update"}), json!({"method": 3}), json!([])] {
            model.received(&message(data));
        }
    }
}
