//! All open models, and the comm at which a front end that was reloaded asks for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_runtime::comm::{self, Comm, Message};
use serde_json::{Map, Value, json};

use crate::model::Model;

/// The target at which a front end asks for all states at once.
const CONTROL: &str = "jupyter.widget.control";

/// An open model lives until it is closed, as its views do, also when no variable holds it.
static OPEN: Mutex<BTreeMap<String, Model>> = Mutex::new(BTreeMap::new());

pub(crate) fn add(id: &str, model: &Model) {
    open().insert(id.to_owned(), model.clone());
}

pub(crate) fn remove(model: &Model) {
    let removed = model.open_id().and_then(|id| open().remove(id));
    // Its callbacks hold values of the user's, whose destructors may use widgets.
    drop(removed);
}

/// Makes ready for front ends; called once when a worker starts.
pub fn register() {
    comm::register_target(CONTROL, |comm, _| comm.on_message(asked));
}

fn asked(comm: &Comm, message: &Message) {
    if message.data.get("method").and_then(Value::as_str) == Some("request_states") {
        let states = states();
        comm.send(json!({"method": "update_states", "states": states, "buffer_paths": []}), &[]);
    }
}

fn states() -> Map<String, Value> {
    let models: Vec<(String, Model)> =
        open().iter().map(|(id, model)| (id.clone(), model.clone())).collect();
    let described = models.into_iter().map(|(id, model)| {
        let mut state = model.full_state();
        let mut take = |key: &str| state.remove(key).unwrap_or_default();
        let (name, module) = (take("_model_name"), take("_model_module"));
        let version = take("_model_module_version");
        let model = json!({
            "model_name": name,
            "model_module": module,
            "model_module_version": version,
            "state": state,
        });
        (id, model)
    });
    described.collect()
}

fn open() -> MutexGuard<'static, BTreeMap<String, Model>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IntSlider, Widget as _};

    #[test]
    fn open_models_are_listed_until_they_are_closed() {
        let slider = IntSlider::new(0..=5).with_value(2);
        assert!(slider.model().open_id().is_none(), "nothing is opened before it is shown");
        let id = slider.model().id().to_owned();
        let listed = states();
        assert_eq!(listed[&id]["model_name"], "IntSliderModel");
        assert_eq!(listed[&id]["state"]["value"], 2);
        let layout = listed[&id]["state"]["layout"].as_str().expect("named").to_owned();
        let layout = layout.trim_start_matches("IPY_MODEL_");
        assert_eq!(listed[layout]["model_module"], "@jupyter-widgets/base");
        slider.close();
        assert!(states().get(&id).is_none() && states().get(layout).is_none());
    }
}
