//! Widgets that hold others.

use oxilab_display::{MimeBundle, Render};
use serde_json::json;

use crate::model::{Model, Module, Widget};

/// Widgets for a container: a tuple of different ones, an array or a vector of the same.
pub trait Children {
    /// Their models, in order.
    fn models(self) -> Vec<Model>;
}

impl<W: Widget, const N: usize> Children for [W; N] {
    fn models(self) -> Vec<Model> {
        self.iter().map(|widget| widget.model().clone()).collect()
    }
}

impl<W: Widget> Children for Vec<W> {
    fn models(self) -> Vec<Model> {
        self.iter().map(|widget| widget.model().clone()).collect()
    }
}

macro_rules! children {
    ($($child:ident $at:tt),+) => {
        impl<$($child: Widget),+> Children for ($($child,)+) {
            fn models(self) -> Vec<Model> {
                vec![$(self.$at.model().clone()),+]
            }
        }
    };
}

children!(A 0);
children!(A 0, B 1);
children!(A 0, B 1, C 2);
children!(A 0, B 1, C 2, D 3);
children!(A 0, B 1, C 2, D 3, E 4);
children!(A 0, B 1, C 2, D 3, E 4, F 5);
children!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
children!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

macro_rules! container {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone)]
        pub struct $name {
            model: Model,
        }

        impl $name {
            /// Holds these widgets, in this order.
            #[must_use]
            pub fn new(children: impl Children) -> Self {
                let model = Model::with_view(Module::Controls, stringify!($name), "");
                let container = Self { model };
                container.set_children(children);
                container
            }

            /// Holds other widgets.
            pub fn set_children(&self, children: impl Children) {
                self.model.set_parts("children", children.models());
            }

            /// Sets the width as CSS has it: `300px`, `50%`.
            #[must_use]
            pub fn with_width(self, width: impl Into<String>) -> Self {
                self.model.set_in_part("layout", "width", json!(width.into()));
                self
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

container! {
    /// Widgets beside each other.
    ///
    /// ```
    /// use oxilab_widgets::{Button, HBox, Text};
    /// let (name, send) = (Text::new(""), Button::new("Send"));
    /// let row = HBox::new((&name, &send));
    /// # drop(row);
    /// ```
    HBox
}

container! {
    /// Widgets below each other.
    VBox
}

container! {
    /// Widgets behind tabs.
    Tab
}

container! {
    /// Widgets that unfold, one at a time.
    Accordion
}

impl Tab {
    /// Sets the texts on the tabs.
    #[must_use]
    pub fn with_titles<S: Into<String>>(self, titles: impl IntoIterator<Item = S>) -> Self {
        let titles: Vec<String> = titles.into_iter().map(Into::into).collect();
        self.model.set_all([("titles", json!(titles)), ("selected_index", json!(0))]);
        self
    }
}

impl Accordion {
    /// Sets the texts above the widgets.
    #[must_use]
    pub fn with_titles<S: Into<String>>(self, titles: impl IntoIterator<Item = S>) -> Self {
        let titles: Vec<String> = titles.into_iter().map(Into::into).collect();
        self.model.set("titles", json!(titles));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, Tab};

    #[test]
    fn children_are_named_in_order() {
        let (first, second) = (Label::new("1"), Label::new("2"));
        let boxed = VBox::new((&first, &second));
        let outer = Tab::new([&boxed]).with_titles(["labels"]);
        let state = boxed.model().full_state();
        let names = [first.model().id(), second.model().id()].map(|id| format!("IPY_MODEL_{id}"));
        assert_eq!(state["children"], json!(names));
        assert_eq!(outer.model().full_state()["titles"], json!(["labels"]));
        boxed.set_children([&boxed]);
        assert_eq!(boxed.model().full_state()["children"], json!([]));
    }
}
