//! The crate of a unit's items.

use super::source::{Composed, Origin, Writer};
use crate::units::{Needs, Unit};

/// Composes a unit: what it needs in front, then its items with `pub` and polls.
#[must_use]
pub fn compose(unit: &Unit, needs: &Needs) -> Composed {
    let mut writer = Writer::default();
    writer.generated(
        "#![allow(unused, nonstandard_style, private_interfaces, private_bounds, clippy::all)]",
    );
    writer.generated(
        "#![warn(unused_must_use)]use ::oxilab::prelude::*;use ::oxilab::__rt::FrameJoins as _;",
    );
    writer.generated(&needs.imports);
    writer.generated(&needs.macros);
    let mut previous: Option<(&str, usize)> = None;
    for piece in &unit.pieces {
        let same = previous.filter(|(label, _)| *label == piece.label).map(|(_, origin)| origin);
        let origin = same.unwrap_or_else(|| {
            writer.origin(Origin { label: piece.label.clone(), text: piece.text.clone() })
        });
        // Only the first cell's lines can keep their numbers; the map knows all of them.
        if previous.is_none() || same.is_some() {
            writer.align(origin, piece.item.range.start);
        } else {
            writer.line_break();
        }
        writer.paste(origin, piece.item.range.clone(), &piece.item.edits);
        previous = Some((&piece.label, origin));
    }
    writer.finish()
}
