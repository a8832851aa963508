//! What a net shows in a cell: its layers, their shapes, the number of parameters.

use oxilab_display::table::{Heading, Table, thousands};
use oxilab_display::{MimeBundle, Render as _};

use crate::model::Trainable;

/// A table with a row for each layer: its name, its shape in words, and the start of the names of its
/// variables, by which its parameters are counted.
pub(super) fn summary(
    name: &str,
    net: &impl Trainable,
    layers: &[(&str, String, String)],
) -> MimeBundle {
    let vars = net.vars();
    let count = |start: &str| -> usize {
        let own = vars.iter().filter(|(name, _)| name.starts_with(start));
        own.map(|(_, var)| var.elem_count()).sum()
    };
    let mut table = Table::new(vec![
        Heading::new(name),
        Heading::new("shape"),
        Heading::new("parameters").numeric(),
    ]);
    for (layer, shape, start) in layers {
        let parameters = if start.is_empty() { String::new() } else { thousands(count(start)) };
        table.push(vec![Some((*layer).to_owned()), Some(shape.clone()), Some(parameters)]);
    }
    table.push(vec![Some("total".to_owned()), Some(String::new()), Some(thousands(count("")))]);
    table.render()
}
