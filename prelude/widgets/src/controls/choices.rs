//! Choices among texts.

use serde_json::{Value, json};

use super::{text, widget};
use crate::callback::Ended;
use crate::model::Model;

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

widget! {
    /// A list of which several lines are chosen, with Ctrl or Shift.
    ///
    /// ```
    /// use oxilab_widgets::SelectMultiple;
    /// let columns = SelectMultiple::new(["age", "sex", "fare"]).with_value(["age", "fare"]);
    /// assert_eq!(columns.value(), ["age", "fare"]);
    /// ```
    SelectMultiple, "SelectMultiple", "DescriptionStyle"
}

impl SelectMultiple {
    /// A choice of these texts, none chosen.
    #[must_use]
    pub fn new<S: Into<String>>(options: impl IntoIterator<Item = S>) -> Self {
        let choice = Self::bare();
        let labels: Vec<String> = options.into_iter().map(Into::into).collect();
        choice.model.set_all([("_options_labels", json!(labels)), ("index", json!([]))]);
        choice
    }

    /// Chooses these texts, as far as they are options.
    #[must_use]
    pub fn with_value<S: AsRef<str>>(self, values: impl IntoIterator<Item = S>) -> Self {
        self.set_value(values);
        self
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        options(&self.model)
    }

    /// The texts chosen, in the order of the options.
    #[must_use]
    pub fn value(&self) -> Vec<String> {
        several(&self.options(), &self.model.get("index"))
    }

    /// Chooses these texts, as far as they are options, and calls who waits for a change.
    pub fn set_value<S: AsRef<str>>(&self, values: impl IntoIterator<Item = S>) {
        let options = self.options();
        let found = values
            .into_iter()
            .filter_map(|value| options.iter().position(|option| option == value.as_ref()));
        let chosen: std::collections::BTreeSet<usize> = found.collect();
        self.model.set("index", json!(chosen));
    }

    /// Calls `callback` with the texts chosen after every change, from either side.
    pub fn on_change<E: Ended>(&self, mut callback: impl FnMut(Vec<String>) -> E + Send + 'static) {
        let model = self.model.downgrade();
        self.model.on_change("index", move |index| {
            if let Some(model) = model.upgrade() {
                callback(several(&options(&model), index)).ended();
            }
        });
    }
}

fn several(options: &[String], index: &Value) -> Vec<String> {
    let chosen = index.as_array().into_iter().flatten().filter_map(position);
    chosen.filter_map(|at| options.get(at).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

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
    fn several_are_chosen_in_the_order_of_the_options() {
        let choice = SelectMultiple::new(["a", "b", "c"]).with_value(["c", "none", "a"]);
        assert_eq!(choice.value(), ["a", "c"]);
        assert_eq!(choice.model.get("index"), json!([0, 2]));
    }
}
