//! Composed text and where each byte of it came from.

use std::ops::Range;
use std::sync::Arc;

use crate::cell::{Cell, Edit};

/// A text that a person wrote: a cell of the notebook or a file run by a magic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// How it is called in errors: `In [5]`.
    pub label: String,
    /// The text.
    pub text: Arc<str>,
}

/// What a stretch of generated code is for, so that an error in it can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Takes a variable from the store; its type is written here.
    Load(String),
    /// Asks for the type of a variable by way of a lint.
    Type(String),
    /// Asks for the type of the tail expression.
    Result,
    /// Puts a variable back, or for the first time.
    Put(String),
}

/// Composed code.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    /// The whole text of the crate.
    pub text: String,
    /// The way back.
    pub map: SourceMap,
}

/// From composed bytes to the text they came from.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    segments: Vec<Segment>,
    marks: Vec<(Range<usize>, Mark)>,
    /// The texts that were pasted.
    pub origins: Vec<Origin>,
    lines: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Segment {
    composed: Range<usize>,
    origin: usize,
    /// As long as what was composed of it, or what generated code stands for.
    pasted: Range<usize>,
    /// Generated brackets directly in front of it.
    brackets: usize,
}

impl SourceMap {
    /// The origin and byte range of a composed range, if its start was pasted from a cell. An end in
    /// generated code is that of what was pasted before.
    #[must_use]
    pub fn locate(&self, range: &Range<usize>) -> Option<(&Origin, Range<usize>)> {
        self.pasted(range).or_else(|| {
            let skipped = self.brackets_at(range.start)?;
            let start = range.start + skipped;
            self.pasted(&(start..range.end.saturating_sub(skipped).max(start + 1)))
        })
    }

    /// How many generated brackets stand between a byte and the paste that they wrap: rustc counts
    /// them to the expression inside.
    fn brackets_at(&self, at: usize) -> Option<usize> {
        let next = self.segments.partition_point(|segment| segment.composed.start <= at);
        let segment = self.segments.get(next)?;
        let distance = segment.composed.start - at;
        (distance <= segment.brackets).then_some(distance)
    }

    fn pasted(&self, range: &Range<usize>) -> Option<(&Origin, Range<usize>)> {
        let segment = self.segment_at(range.start).or_else(|| {
            // An empty range at the end of a paste.
            range
                .is_empty()
                .then(|| self.segments.iter().find(|s| s.composed.end == range.start))
                .flatten()
        })?;
        if segment.stands_for() && range.start > segment.composed.start {
            return None;
        }
        let origin = &self.origins[segment.origin];
        let start = segment.back(range.start);
        let before = range.end.max(range.start + 1);
        let last = self.segments.partition_point(|segment| segment.composed.start < before);
        let end = match last.checked_sub(1).map(|last| &self.segments[last]) {
            Some(last) if last.origin == segment.origin => last.back(range.end),
            _ => segment.back(range.end),
        };
        Some((origin, start..end.max(start)))
    }

    /// The last pasted byte at or before one: where code generated behind the user's text belongs to.
    #[must_use]
    pub fn locate_before(&self, at: usize) -> Option<(&Origin, usize)> {
        let index = self.segments.partition_point(|segment| segment.composed.start <= at);
        let segment = self.segments.get(index.checked_sub(1)?)?;
        Some((&self.origins[segment.origin], segment.back(at.min(segment.composed.end - 1))))
    }

    /// What the generated code at a byte is for.
    #[must_use]
    pub fn mark(&self, at: usize) -> Option<&Mark> {
        self.marks.iter().find(|(range, _)| range.contains(&at)).map(|(_, mark)| mark)
    }

    /// Byte offset of a line and column (both from 1, columns in characters) of the composed text.
    #[must_use]
    pub fn offset(&self, text: &str, line: u32, column: u32) -> Option<usize> {
        let start = *self.lines.get(line.checked_sub(1)? as usize)?;
        let rest = text.get(start..)?;
        let column = column.checked_sub(1)? as usize;
        Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
    }

    /// Gives an origin its label; the label is not part of what is compiled.
    pub fn relabel(&mut self, origin: usize, label: &str) {
        if let Some(origin) = self.origins.get_mut(origin) {
            label.clone_into(&mut origin.label);
        }
    }

    fn segment_at(&self, at: usize) -> Option<&Segment> {
        let index = self.segments.partition_point(|segment| segment.composed.end <= at);
        self.segments.get(index).filter(|segment| segment.composed.contains(&at))
    }
}

impl Segment {
    /// It is generated: no part of it is a part of what was written.
    fn stands_for(&self) -> bool {
        self.composed.len() != self.pasted.len()
    }

    /// Where a composed byte, or the end of some, came from.
    fn back(&self, at: usize) -> usize {
        (self.pasted.start + at.saturating_sub(self.composed.start)).min(self.pasted.end)
    }
}

/// Writes composed code.
#[derive(Default)]
pub struct Writer {
    text: String,
    map: SourceMap,
    line: usize,
}

impl Writer {
    /// Registers a text that will be pasted from.
    pub fn origin(&mut self, origin: Origin) -> usize {
        self.map.origins.push(origin);
        self.map.origins.len() - 1
    }

    /// Generated code; it must not hold a line break, so that the user's lines keep their numbers.
    pub fn generated(&mut self, code: &str) {
        debug_assert!(!code.contains('\n'), "generated code shifts the user's lines: {code}");
        self.text.push_str(code);
    }

    /// Generated code with a mark.
    pub fn marked(&mut self, mark: Mark, code: &str) {
        let start = self.text.len();
        self.generated(code);
        self.map.marks.push((start..self.text.len(), mark));
    }

    /// A line break, before pieces of another cell.
    pub fn line_break(&mut self) {
        self.text.push('\n');
        self.line += 1;
    }

    /// Starts at the line that a byte of an origin stands on, if that is further down.
    pub fn align(&mut self, origin: usize, at: usize) {
        let text = Arc::clone(&self.map.origins[origin].text);
        let before = &text[..at];
        let wanted = before.matches('\n').count();
        while self.line < wanted {
            self.line_break();
        }
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let here = self.text.len() - self.text.rfind('\n').map_or(0, |newline| newline + 1);
        if self.line == wanted && here < column {
            self.text.extend(std::iter::repeat_n(' ', column - here));
        }
    }

    /// Pastes the `use`s of a cell into a module, where they may say again what an earlier cell has
    /// said: what they name must be there now, not when a later cell needs it.
    pub fn uses(&mut self, origin: usize, cell: &Cell) {
        let mut uses = cell.uses().peekable();
        if uses.peek().is_none() {
            return;
        }
        self.generated("mod oxi_uses{use super::*;");
        for item in uses {
            self.align(origin, item.range.start);
            self.paste(origin, item.range.clone(), &[]);
        }
        self.line_break();
        self.generated("}");
    }

    /// Pastes a range of an origin with its edits.
    pub fn paste(&mut self, origin: usize, range: Range<usize>, edits: &[Edit]) {
        let text = Arc::clone(&self.map.origins[origin].text);
        let mut from = range.start;
        for edit in edits {
            if edit.range.start < from || edit.range.end > range.end {
                continue;
            }
            self.verbatim(origin, &text, from..edit.range.start);
            let start = self.text.len();
            self.text.push_str(&edit.text);
            match &edit.moved {
                Some(moved) => self.verbatim(origin, &text, moved.clone()),
                None if edit.range.is_empty() => {}
                None => self.segment(start, origin, edit.range.clone()),
            }
            from = edit.range.end;
        }
        self.verbatim(origin, &text, from..range.end);
    }

    fn verbatim(&mut self, origin: usize, text: &str, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let start = self.text.len();
        let piece = &text[range.clone()];
        self.text.push_str(piece);
        self.line += piece.matches('\n').count();
        self.segment(start, origin, range);
    }

    /// What was written since `start` came from there, or stands for it.
    fn segment(&mut self, start: usize, origin: usize, pasted: Range<usize>) {
        let generated = self.map.segments.last().map_or(0, |segment| segment.composed.end);
        let before = &self.text[generated..start];
        let brackets = before.bytes().rev().take_while(|byte| *byte == b'(').count();
        let composed = start..self.text.len();
        self.map.segments.push(Segment { composed, origin, pasted, brackets });
    }

    /// The finished text.
    #[must_use]
    pub fn finish(mut self) -> Composed {
        self.map.lines =
            std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Composed { text: self.text, map: self.map }
    }
}
