//! The crate of a cell's statements.
//!
//! The statements become steps. A step is a closure that the runtime calls under `catch_unwind`; its
//! new bindings leave it as its result, so that they stand outside when a later step fails. Steps
//! nest, each in the `if let` of the one before; behind the inner ones a binding is put into the
//! store. What a step consumes is captured by value and put back only in the `else` of earlier steps:
//!
//! ```text
//! if let Some(mut df) = c.take::<DataFrame>("df") {
//!     if let Some((n,)) = c.step(|| { let n = df.height(); Ok((n,)) }) { forget(&n);
//!         if let Some((lf,)) = c.step(|| { let lf = df.lazy(); Ok((lf,)) }) { forget(&lf);
//!             c.put("lf", lf);
//!         }                                 // the step that consumes df: df is gone if it fails
//!         c.put("n", n);
//!     } else { c.put("df", df); }           // an earlier step failed: df was not touched
//! }
//! ```
//!
//! The newest value of a name is put first, and the runtime keeps the first.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Composed, Mark, Origin, Writer};
use crate::cell::{Cell, StatementKind};

/// Everything but the statements that goes into a cell's crate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// `use` declarations and imports of items, one line of code.
    pub imports: String,
    /// `macro_rules!` definitions, one line of code.
    pub macros: String,
    /// Variables to take from the store.
    pub loads: Vec<Load>,
}

/// A variable to take from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Its name.
    pub name: String,
    /// Its type, as rustc printed it.
    pub type_text: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
}

/// Decisions about ownership that the text alone does not give; a failed compile amends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ownership {
    /// Statement → variables of before that it consumes.
    pub consumed: BTreeMap<usize, BTreeSet<String>>,
    /// Bindings that cannot be stored: they borrow from another.
    pub borrowing: BTreeSet<String>,
    /// Bindings that are stored without a way to look at them: asked for it, rustc takes a type that is
    /// not known, as that of `let x = todo!();`, for one that must have it.
    #[serde(default)]
    pub unseen: BTreeSet<String>,
    /// From this statement on everything stands in one step, as in one block.
    pub merged_from: Option<usize>,
}

/// Composes a cell. `show` is false for silent runs.
#[must_use]
pub fn compose(
    cell: &Cell,
    origin: Origin,
    around: &Surroundings,
    ownership: &Ownership,
    show: bool,
) -> Composed {
    let frames = frames(cell, around, ownership);
    let mut writer = Writer::default();
    let origin = writer.origin(origin);
    writer.generated("#![allow(unused, nonstandard_style, clippy::all)]#![warn(unused_must_use)]");
    writer.generated("use ::oxilab::prelude::*;use ::oxilab::__rt::{FrameJoins as _,KeepKnown as _,KeepUnknown as _,LookAtAny as _,LookAtCount as _,LookAtText as _,Question as _,QuestionSend as _};");
    writer.generated(&around.imports);
    writer.generated(&around.macros);
    writer.generated(
        "#[unsafe(no_mangle)]pub extern \"C\" fn oxilab_cell_main(){::oxilab::__rt::run(|__c|{",
    );
    let mut composer = Composer { cell, writer, origin, ownership, show };
    for frame in &frames {
        composer.open(frame);
    }
    for (index, frame) in frames.iter().enumerate().rev() {
        composer.close(frame, index, &frames);
    }
    composer.writer.generated("});}");
    composer.writer.uses(origin, cell);
    composer.writer.finish()
}

/// One nested `if let`.
struct Frame {
    kind: FrameKind,
    /// Variables alive behind it that it made, and the frame that consumes each.
    made: Vec<(String, bool, Option<usize>)>,
}

enum FrameKind {
    Load(Load),
    Step {
        statements: std::ops::Range<usize>,
        /// Variables taken in by value and handed back.
        returned: Vec<String>,
        /// The last step: bindings are put inside it.
        merged: bool,
    },
}

fn frames(cell: &Cell, around: &Surroundings, ownership: &Ownership) -> Vec<Frame> {
    let mut frames: Vec<Frame> = around
        .loads
        .iter()
        .map(|load| Frame {
            kind: FrameKind::Load(load.clone()),
            made: vec![(load.name.clone(), load.mutable, None)],
        })
        .collect();
    for statements in steps(cell, ownership) {
        let index = frames.len();
        let merged = ownership.merged_from.is_some_and(|from| statements.start >= from)
            || cell.statements[statements.clone()].iter().any(|s| s.kind == StatementKind::OpenLet);
        let mut returned = Vec::new();
        let mut made: Vec<(String, bool, Option<usize>)> = Vec::new();
        for at in statements.clone() {
            for name in ownership.consumed.get(&at).into_iter().flatten() {
                let newest = frames
                    .iter_mut()
                    .rev()
                    .flat_map(|frame| frame.made.iter_mut())
                    .find(|m| m.0 == *name);
                if let Some((_, mutable, consumed)) = newest {
                    *consumed = Some(index);
                    if cell.statements[at].assigns.contains(name) && !merged {
                        returned.push(name.clone());
                        made.push((name.clone(), *mutable, None));
                    }
                }
            }
            if !merged {
                for binding in &cell.statements[at].bindings {
                    made.retain(|known| known.0 != binding.name);
                    made.push((binding.name.clone(), binding.mutable, None));
                }
            }
        }
        frames.push(Frame { kind: FrameKind::Step { statements, returned, merged }, made });
    }
    frames
}

/// Ranges of statements that go into one step each: a step ends behind a binding and stands alone
/// around a statement that consumes.
fn steps(cell: &Cell, ownership: &Ownership) -> Vec<std::ops::Range<usize>> {
    let count = cell.statements.len();
    let mut steps = Vec::new();
    let mut start = 0;
    for (at, statement) in cell.statements.iter().enumerate() {
        if ownership.merged_from.is_some_and(|from| at >= from)
            || statement.kind == StatementKind::OpenLet
        {
            if start < at {
                steps.push(start..at);
            }
            steps.push(at..count);
            return steps;
        }
        let consumes = ownership.consumed.get(&at).is_some_and(|names| !names.is_empty());
        if consumes && start < at {
            steps.push(start..at);
            start = at;
        }
        if consumes || !statement.bindings.is_empty() {
            steps.push(start..at + 1);
            start = at + 1;
        }
    }
    if start < count {
        steps.push(start..count);
    }
    steps
}

struct Composer<'a> {
    cell: &'a Cell,
    writer: Writer,
    origin: usize,
    ownership: &'a Ownership,
    show: bool,
}

impl Composer<'_> {
    fn open(&mut self, frame: &Frame) {
        match &frame.kind {
            FrameKind::Load(load) => {
                let Load { name, type_text, mutable } = load;
                let mutability = if *mutable { "mut " } else { "" };
                self.writer.generated("if let ::core::option::Option::Some(");
                self.writer.generated(&format!("{mutability}{}", raw(name)));
                self.writer.generated(")=");
                self.writer.marked(
                    Mark::Load(name.clone()),
                    &format!("__c.take::<{type_text}>(\"{name}\")"),
                );
                self.writer.generated("{");
            }
            FrameKind::Step { statements, returned, merged } => {
                self.open_step(frame, statements.clone(), returned, *merged);
            }
        }
    }

    fn open_step(
        &mut self,
        frame: &Frame,
        statements: std::ops::Range<usize>,
        returned: &[String],
        merged: bool,
    ) {
        let pattern: String = frame
            .made
            .iter()
            .map(|(name, mutable, _)| {
                format!("{}{},", if *mutable { "mut " } else { "" }, raw(name))
            })
            .collect();
        self.writer
            .generated(&format!("if let ::core::option::Option::Some(({pattern}))=__c.step(||{{"));
        for name in returned {
            self.writer.generated(&format!("let mut {0}={0};", raw(name)));
        }
        for at in statements.clone() {
            self.statement(at);
        }
        if merged {
            self.put_inside(statements);
        }
        let values: String =
            frame.made.iter().map(|(name, ..)| format!("{},", raw(name))).collect();
        self.writer.generated(&format!("::core::result::Result::Ok(({values}))}}){{"));
        for (name, ..) in frame.made.iter().filter(|(name, ..)| !returned.contains(name)) {
            self.ask_type(name);
        }
    }

    /// Inside a merged step the bindings are put at its end, newest first.
    fn put_inside(&mut self, statements: std::ops::Range<usize>) {
        let mut done = BTreeSet::new();
        for at in statements.clone().rev() {
            for binding in &self.cell.statements[at].bindings {
                let consumed = (at + 1..statements.end).any(|later| {
                    self.ownership
                        .consumed
                        .get(&later)
                        .is_some_and(|names| names.contains(&binding.name))
                        && !self.cell.statements[later].assigns.contains(&binding.name)
                });
                let new = done.insert(binding.name.clone());
                if new && !consumed && !self.ownership.borrowing.contains(&binding.name) {
                    self.ask_type(&binding.name);
                    self.put(&binding.name);
                }
            }
        }
    }

    fn statement(&mut self, at: usize) {
        let statement = &self.cell.statements[at];
        self.writer.align(self.origin, statement.range.start);
        let tail = statement.kind == StatementKind::Tail;
        match (tail, self.show) {
            (true, true) => self.writer.generated("match &("),
            (true, false) => self.writer.generated("let _=("),
            (false, _) => {}
        }
        self.writer.paste(self.origin, statement.range.clone(), &statement.edits);
        match statement.kind {
            StatementKind::Tail if self.show => {
                self.writer.generated("){__v=>{");
                self.writer.marked(Mark::Result, "::core::mem::forget(__v);");
                self.writer.generated(
                    "::oxilab::__rt::show!(*__v);(&::oxilab::__rt::Keep(__v)).oxilab_keep();}}",
                );
            }
            StatementKind::Tail => self.writer.generated(");"),
            StatementKind::Other { open: true } => self.writer.generated(";"),
            _ => {}
        }
    }

    fn close(&mut self, frame: &Frame, index: usize, frames: &[Frame]) {
        for (name, _, consumed) in frame.made.iter().rev() {
            if consumed.is_none() && !self.ownership.borrowing.contains(name) {
                self.put(name);
            }
        }
        self.writer.generated("}");
        // Variables that a later step consumes are still here when this one fails.
        let untouched: Vec<&String> = frames[..index]
            .iter()
            .flat_map(|earlier| &earlier.made)
            .filter(|(_, _, consumed)| consumed.is_some_and(|at| at > index))
            .map(|(name, ..)| name)
            .rev()
            .collect();
        if !untouched.is_empty() {
            self.writer.generated("else{");
            for name in untouched {
                self.put(name);
            }
            self.writer.generated("}");
        }
    }

    fn ask_type(&mut self, name: &str) {
        self.writer
            .marked(Mark::Type(name.to_owned()), &format!("::core::mem::forget(&{});", raw(name)));
    }

    /// Moves the variable before its type is asked how to look at it: borrowed by name it would be
    /// another error when it is gone.
    fn put(&mut self, name: &str) {
        let value = raw(name);
        let put = if self.ownership.unseen.contains(name) {
            format!("__c.put(\"{name}\",{value});")
        } else {
            format!(
                "match ::oxilab::__rt::Held({value}){{__h=>{{let __l=(&&&__h).oxilab_look();__c.put_with(\"{name}\",__h,__l);}}}}"
            )
        };
        self.writer.marked(Mark::Put(name.to_owned()), &put);
    }
}

/// A name as code: keywords need their `r#`.
fn raw(name: &str) -> String {
    match syn::parse_str::<syn::Ident>(name) {
        Ok(_) => name.to_owned(),
        Err(_) => format!("r#{name}"),
    }
}
