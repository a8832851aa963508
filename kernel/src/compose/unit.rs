//! The crate of a unit's items.
//!
//! Types that have a `Debug` (or else a `Display`) get an implementation of the runtime's `Peek` beside
//! them, so that the variable explorer shows their values: a cell that asked for `Debug` itself would
//! compile a quarter longer.

use std::collections::BTreeMap;

use quote::ToTokens as _;

use super::source::{Composed, Origin, Writer};
use crate::cell::ItemKind;
use crate::units::{Needs, Piece, Unit};

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
    let shown = shown_types(unit);
    let mut previous: Option<(&str, usize)> = None;
    for (index, piece) in unit.pieces.iter().enumerate() {
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
        for (type_name, _) in shown.iter().filter(|(_, at)| **at == index) {
            writer.generated(&peek(type_name));
        }
        previous = Some((&piece.label, origin));
    }
    writer.finish()
}

/// The types that are shown, and the piece behind which that is written.
fn shown_types(unit: &Unit) -> BTreeMap<String, usize> {
    let pieces = unit.pieces.iter().enumerate();
    pieces.filter_map(|(index, piece)| Some((shown_type(piece)?, index))).collect()
}

/// The type that a piece makes showable: it derives `Debug`, or the piece implements `Debug` or
/// `Display` for it. Types with parameters are left out: whether theirs are shown is not in the text.
fn shown_type(piece: &Piece) -> Option<String> {
    let may_be = match &piece.item.kind {
        ItemKind::Type => piece.item.identifiers.contains("Debug"),
        ItemKind::Impl { of_trait, .. } => of_trait.as_deref().is_some_and(shows),
        _ => false,
    };
    if !may_be {
        return None;
    }
    let text = piece.text.get(piece.item.range.clone())?;
    match syn::parse_str::<syn::Item>(text).ok()? {
        syn::Item::Struct(item) => deriving(&item.attrs, &item.generics, &item.ident),
        syn::Item::Enum(item) => deriving(&item.attrs, &item.generics, &item.ident),
        syn::Item::Impl(block) => {
            let syn::Type::Path(of_type) = &*block.self_ty else { return None };
            let plain = block.generics.params.is_empty()
                && of_type.path.segments.iter().all(|segment| segment.arguments.is_none());
            (plain && !conditional(&block.attrs)).then(|| of_type.to_token_stream().to_string())
        }
        _ => None,
    }
}

/// A trait of the notebook may have the name as well: the implementation asks once more.
fn shows(trait_name: &str) -> bool {
    matches!(trait_name, "Debug" | "Display")
}

fn deriving(
    attributes: &[syn::Attribute],
    generics: &syn::Generics,
    name: &syn::Ident,
) -> Option<String> {
    let mut debug = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        attribute
            .parse_nested_meta(|meta| {
                debug |= meta.path.segments.last().is_some_and(|last| last.ident == "Debug");
                Ok(())
            })
            .ok()?;
    }
    let plain = generics.params.is_empty() && !conditional(attributes);
    (debug && plain).then(|| name.to_string())
}

/// Whether an item may turn out not to be there.
fn conditional(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

fn peek(type_name: &str) -> String {
    format!(
        "#[allow(warnings)]impl ::oxilab::__rt::Peek for {type_name}{{fn peek(&self,__l:&mut ::oxilab::__rt::Line)->::core::fmt::Result{{use ::oxilab::__rt::{{ByDebug as _,ByDisplay as _,ByNothing as _}};(&&&::oxilab::__rt::Written(self)).oxilab_write(__l)}}}}"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::units::Items;

    /// The types that the units of a cell show.
    fn shown(code: &str) -> Vec<String> {
        let cell = crate::cell::parse(code).expect("it parses");
        let text: Arc<str> = Arc::from(code);
        let items = Items::default().with(&cell.items, "In [1]", &text);
        let units = items.units().map(|(id, unit)| compose(unit, &items.needs_of_unit(id)).text);
        let text: String = units.collect();
        assert!(text.matches('\n').count() <= code.matches('\n').count(), "lines keep numbers");
        text.split("__rt::Peek for ")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('{')?.0.to_owned()))
            .collect()
    }

    #[test]
    fn types_with_a_text_are_shown_in_their_units() {
        assert_eq!(shown("#[derive(Clone, Debug)]\nstruct Point { x: f64 }"), ["Point"]);
        assert_eq!(shown("#[derive(std::fmt::Debug)] enum Way { Left, Right }"), ["Way"]);
        let written = "struct Net;\nimpl std::fmt::Display for Net {\n fn fmt(&self, \
                       f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(\"net\") }\n}";
        assert_eq!(shown(written), ["Net"]);
        let both = written.replacen("struct", "#[derive(Debug)] struct", 1);
        assert_eq!(shown(&both), ["Net"]);
        assert_eq!(shown("#[derive(Clone)] struct Silent;"), [""; 0]);
        assert_eq!(shown("#[derive(Debug)] struct Pair<T>(T, T);"), [""; 0]);
        assert_eq!(shown("#[cfg(test)] #[derive(Debug)] struct Gone;"), [""; 0]);
        assert_eq!(shown("trait Debug {}\nfn f() {}"), [""; 0]);
    }
}
