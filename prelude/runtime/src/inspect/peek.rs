//! Values that no inspector knows, in one line: what `{:?}` writes, as much of it as is shown.
//!
//! `Debug` itself is not asked for. The question whether a type is `Debug` makes rustc read the
//! implementations of all crates in the prelude (*measured*: 26 ms more for a trivial cell of 100 ms),
//! and std's code for the `{:?}` of a collection would be compiled anew in every cell. [`Peek`] has few
//! implementations, and what they call is compiled here: 1 to 2 ms for a variable, 6 in an
//! optimised cell. The types of a notebook get theirs in their units, of their `Debug`.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fmt::{self, Debug, Display, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicIsize, AtomicU32, AtomicU64, AtomicUsize,
};
use std::sync::{Arc, Mutex, RwLock, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use super::{Inspection, PREVIEW};
use crate::panics;

/// A value that can be shown in one line.
#[doc(hidden)]
pub trait Peek {
    /// Writes the value; ends with the line's error when that is full.
    ///
    /// # Errors
    /// When the line is full.
    fn peek(&self, line: &mut Line) -> fmt::Result;

    /// How much a collection holds.
    fn count(&self) -> Option<Count> {
        None
    }

    /// How a variable of this type is looked at; `None` where an inspector knows the type.
    #[must_use]
    fn look() -> Option<Look>
    where
        Self: Sized + 'static,
    {
        Some(Look::Peek(peeked::<Self>))
    }

    /// How a variable is looked at that is a vector of this type.
    #[must_use]
    fn look_of_list() -> Option<Look>
    where
        Self: Sized + 'static,
    {
        Some(Look::Peek(peeked::<Vec<Self>>))
    }
}

/// A collection, whatever it holds.
#[doc(hidden)]
pub trait Counted {
    /// How much it holds.
    fn counted(&self) -> Count;
}

/// How much a collection holds.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    len: usize,
    /// Bytes beyond those of the collection itself; not what its elements hold elsewhere.
    heap: usize,
}

impl Count {
    #[inline(never)]
    fn new(len: usize, places: usize, size: usize) -> Self {
        Self { len, heap: places.saturating_mul(size) }
    }
}

/// How generated code looks at a value whose type no inspector knows.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// It has a text, and maybe a length.
    Peek(for<'a> fn(&'a dyn Any) -> Option<&'a dyn Peek>),
    /// It has a length; what it holds has no text.
    Count(fn(&dyn Any) -> Option<Count>),
}

impl Look {
    /// The look at a collection of values without a text.
    #[doc(hidden)]
    #[must_use]
    pub fn count<T: Counted + 'static>() -> Self {
        Self::Count(counted::<T>)
    }

    /// Describes a value. `None` when it is not of the type that the look is for.
    pub(crate) fn inspect(self, value: &dyn Any) -> Option<Inspection<'static>> {
        let (preview, count) = match self {
            Self::Peek(peek) => {
                let value = peek(value)?;
                (text(value), value.count())
            }
            Self::Count(count) => (String::new(), Some(count(value)?)),
        };
        let seen = Inspection::new(preview);
        let Some(Count { len, heap }) = count else { return Some(seen) };
        let bytes = size_of_val(value).saturating_add(heap);
        Some(seen.with_shape(format!("len {len}")).with_bytes(bytes as u64))
    }
}

#[allow(clippy::question_mark, reason = "what `?` calls would be compiled in every cell")]
fn peeked<T: Peek + 'static>(value: &dyn Any) -> Option<&dyn Peek> {
    let Some(value) = value.downcast_ref::<T>() else { return None };
    Some(value)
}

#[allow(clippy::question_mark, reason = "what `?` calls would be compiled in every cell")]
fn counted<T: Counted + 'static>(value: &dyn Any) -> Option<Count> {
    let Some(value) = value.downcast_ref::<T>() else { return None };
    Some(value.counted())
}

/// The line of a value; empty when the user's `Debug` panics.
fn text(value: &dyn Peek) -> String {
    let written = catch_unwind(AssertUnwindSafe(|| {
        let mut line = Line::default();
        // Its error says that there is more than is shown, which the line knows itself.
        let _full: fmt::Result = value.peek(&mut line);
        line.finish()
    }));
    written.unwrap_or_else(|payload| {
        // No later failure shall be taken for this one; the destructor of a payload may panic too.
        panics::failure(&*payload);
        std::mem::forget(payload);
        String::new()
    })
}

/// The one line of a preview. It refuses what goes beyond, so that formatting ends early.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Line {
    text: String,
    length: usize,
    /// An item that comes now is the first behind a bracket.
    first: bool,
    ended: bool,
    cut: bool,
}

// Not inlined: these are what generic implementations are made of in cells.
impl Line {
    /// A value by its `Debug`.
    ///
    /// # Errors
    /// When the line is full.
    #[inline(never)]
    pub fn debug(&mut self, value: &dyn Debug) -> fmt::Result {
        write!(self, "{value:?}")
    }

    /// A value by its `Display`.
    ///
    /// # Errors
    /// When the line is full.
    #[inline(never)]
    pub fn display(&mut self, value: &dyn Display) -> fmt::Result {
        write!(self, "{value}")
    }

    #[inline(never)]
    fn word(&mut self, word: &str) -> fmt::Result {
        self.write_str(word)
    }

    #[inline(never)]
    fn open(&mut self, bracket: &str) -> fmt::Result {
        self.first = true;
        self.write_str(bracket)
    }

    #[inline(never)]
    fn close(&mut self, bracket: &str) -> fmt::Result {
        self.first = false;
        self.write_str(bracket)
    }

    fn separate(&mut self) -> fmt::Result {
        if std::mem::replace(&mut self.first, false) { Ok(()) } else { self.write_str(", ") }
    }

    #[inline(never)]
    fn item(&mut self, item: &dyn Peek) -> fmt::Result {
        self.separate()?;
        item.peek(self)
    }

    #[inline(never)]
    fn entry(&mut self, key: &dyn Peek, value: &dyn Peek) -> fmt::Result {
        self.separate()?;
        self.between(key, ": ", value)
    }

    #[inline(never)]
    fn between(&mut self, left: &dyn Peek, word: &str, right: &dyn Peek) -> fmt::Result {
        left.peek(self)?;
        self.write_str(word)?;
        right.peek(self)
    }

    #[inline(never)]
    fn around(&mut self, before: &str, value: &dyn Peek, behind: &str) -> fmt::Result {
        self.write_str(before)?;
        value.peek(self)?;
        self.write_str(behind)
    }

    #[inline(never)]
    fn tuple(&mut self, parts: &[&dyn Peek]) -> fmt::Result {
        self.open("(")?;
        parts.iter().try_for_each(|part| self.item(*part))?;
        self.close(")")
    }

    fn finish(mut self) -> String {
        if self.cut {
            if self.length == PREVIEW {
                self.text.pop();
            }
            self.text.push('…');
        }
        self.text
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            if character == '\n' {
                self.ended = self.length > 0;
                continue;
            }
            if self.ended || self.length == PREVIEW {
                self.cut = true;
                return Err(fmt::Error);
            }
            self.text.push(if character.is_control() { ' ' } else { character });
            self.length += 1;
        }
        Ok(())
    }
}

/// Types that write themselves. They are compiled here, their defaults too.
macro_rules! simple {
    ($($kind:ty),* $(,)?) => {$(
        impl Peek for $kind {
            simple!(@methods);
        }
    )*};
    (@methods $($method:ident)*) => {
        #[inline(never)]
        fn peek(&self, line: &mut Line) -> fmt::Result {
            line.debug(&self)
        }

        #[inline(never)]
        fn count(&self) -> Option<Count> {
            None
        }

        $(#[inline(never)]
        fn $method() -> Option<Look> {
            None
        })*
    };
}

/// What the inspectors of [`super::plain`] know: nothing is compiled for such a variable.
macro_rules! known {
    ($($kind:ty),* $(,)?) => {$(
        impl Peek for $kind {
            simple!(@methods look look_of_list);
        }
    )*};
}

known!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f32, f64, bool, char);

impl Peek for i128 {
    simple!(@methods look);
}

impl Peek for u128 {
    simple!(@methods look);
}

simple!(
    (),
    Ordering,
    OsString,
    PathBuf,
    Duration,
    Instant,
    SystemTime,
    IpAddr,
    SocketAddr,
    AtomicBool,
    AtomicI32,
    AtomicI64,
    AtomicIsize,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    std::io::Error,
    dyn std::error::Error,
    dyn std::error::Error + Send + Sync,
    anyhow::Error,
    serde_json::Value,
    serde_json::Map<String, serde_json::Value>,
);

impl Peek for str {
    #[inline(never)]
    fn peek(&self, line: &mut Line) -> fmt::Result {
        // `Debug` would look through all of it for what must be escaped.
        let head = self.char_indices().nth(PREVIEW).map_or(self, |(end, _)| &self[..end]);
        line.debug(&head)
    }

    #[inline(never)]
    fn count(&self) -> Option<Count> {
        None
    }
}

/// Texts that the inspectors know.
macro_rules! texts {
    ($($kind:ty => $count:expr),* $(,)?) => {$(
        impl Peek for $kind {
            #[inline(never)]
            fn peek(&self, line: &mut Line) -> fmt::Result {
                str::peek(self, line)
            }

            #[inline(never)]
            fn count(&self) -> Option<Count> {
                let count: fn(&Self) -> Option<Count> = $count;
                count(self)
            }

            #[inline(never)]
            fn look() -> Option<Look> {
                None
            }

            #[inline(never)]
            fn look_of_list() -> Option<Look> {
                None
            }
        }
    )*};
}

texts!(
    &str => |_| None,
    String => |text| Some(Count::new(text.len(), text.capacity(), 1)),
);

impl Peek for Cow<'_, str> {
    #[inline(never)]
    fn peek(&self, line: &mut Line) -> fmt::Result {
        str::peek(self, line)
    }

    #[inline(never)]
    fn count(&self) -> Option<Count> {
        None
    }
}

impl<T: Peek> Peek for Option<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        match self {
            Some(value) => line.around("Some(", value, ")"),
            None => line.word("None"),
        }
    }
}

impl<T: Peek, E: Peek> Peek for Result<T, E> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        match self {
            Ok(value) => line.around("Ok(", value, ")"),
            Err(error) => line.around("Err(", error, ")"),
        }
    }
}

macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<T: Peek + ?Sized> Peek for $pointer<T> {
            fn peek(&self, line: &mut Line) -> fmt::Result {
                (**self).peek(line)
            }
        }
    )*};
}

pointers!(Box, Rc, Arc);

impl<T: Peek> Peek for RefCell<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        match self.try_borrow() {
            Ok(value) => line.around("RefCell { value: ", &*value, " }"),
            Err(_) => line.word("RefCell { value: <borrowed> }"),
        }
    }
}

/// As `Debug` does: what somebody holds is not waited for.
macro_rules! locks {
    ($($lock:ident $take:ident $held:literal $free:literal),*) => {$(
        impl<T: Peek> Peek for $lock<T> {
            fn peek(&self, line: &mut Line) -> fmt::Result {
                match self.$take() {
                    Ok(value) => line.around($free, &*value, ", poisoned: false, .. }"),
                    Err(TryLockError::Poisoned(value)) => {
                        line.around($free, &**value.get_ref(), ", poisoned: true, .. }")
                    }
                    Err(TryLockError::WouldBlock) => line.word($held),
                }
            }
        }
    )*};
}

locks!(
    Mutex try_lock "Mutex { data: <locked>, .. }" "Mutex { data: ",
    RwLock try_read "RwLock { data: <locked>, .. }" "RwLock { data: "
);

impl<T: Peek> Peek for Range<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        line.between(&self.start, "..", &self.end)
    }
}

impl<T: Peek> Peek for RangeInclusive<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        line.between(self.start(), "..=", self.end())
    }
}

macro_rules! tuples {
    ($(($($part:ident $at:tt)+))*) => {$(
        impl<$($part: Peek),+> Peek for ($($part,)+) {
            fn peek(&self, line: &mut Line) -> fmt::Result {
                line.tuple(&[$(&self.$at),+])
            }
        }
    )*};
}

tuples!(
    (A 0 B 1)
    (A 0 B 1 C 2)
    (A 0 B 1 C 2 D 3)
    (A 0 B 1 C 2 D 3 E 4)
    (A 0 B 1 C 2 D 3 E 4 F 5)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6)
    (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
);

/// An index compiles faster in a cell than an iterator.
fn items<T: Peek>(items: &[T], line: &mut Line) -> fmt::Result {
    let mut at = 0;
    while at < items.len() {
        line.item(&items[at])?;
        at += 1;
    }
    Ok(())
}

impl<T: Peek> Peek for [T] {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        line.open("[")?;
        items(self, line)?;
        line.close("]")
    }
}

impl<T: Peek, const N: usize> Peek for [T; N] {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        self.as_slice().peek(line)
    }
}

impl<T: Peek> Peek for Vec<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        self.as_slice().peek(line)
    }

    fn count(&self) -> Option<Count> {
        Some(self.counted())
    }

    fn look() -> Option<Look>
    where
        Self: 'static,
    {
        T::look_of_list()
    }
}

impl<T: Peek> Peek for VecDeque<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        let (front, back) = self.as_slices();
        line.open("[")?;
        items(front, line)?;
        items(back, line)?;
        line.close("]")
    }

    fn count(&self) -> Option<Count> {
        Some(self.counted())
    }
}

impl<T: Peek> Peek for BinaryHeap<T> {
    fn peek(&self, line: &mut Line) -> fmt::Result {
        self.as_slice().peek(line)
    }

    fn count(&self) -> Option<Count> {
        Some(self.counted())
    }
}

macro_rules! sets {
    ($($set:ident<T $(, $hasher:ident)?>),*) => {$(
        impl<T: Peek $(, $hasher)?> Peek for $set<T $(, $hasher)?> {
            fn peek(&self, line: &mut Line) -> fmt::Result {
                line.open("{")?;
                for item in self {
                    line.item(item)?;
                }
                line.close("}")
            }

            fn count(&self) -> Option<Count> {
                Some(self.counted())
            }
        }
    )*};
}

sets!(HashSet<T, S>, BTreeSet<T>);

macro_rules! maps {
    ($($map:ident<K, V $(, $hasher:ident)?>),*) => {$(
        impl<K: Peek, V: Peek $(, $hasher)?> Peek for $map<K, V $(, $hasher)?> {
            fn peek(&self, line: &mut Line) -> fmt::Result {
                line.open("{")?;
                for (key, value) in self {
                    line.entry(key, value)?;
                }
                line.close("}")
            }

            fn count(&self) -> Option<Count> {
                Some(self.counted())
            }
        }
    )*};
}

maps!(HashMap<K, V, S>, BTreeMap<K, V>);

/// What collections have room for: trees for what is in them.
macro_rules! counted {
    ($($kind:ident<$($held:ident),+ $(; $hasher:ident)?> $room:ident),* $(,)?) => {$(
        impl<$($held,)+ $($hasher)?> Counted for $kind<$($held,)+ $($hasher)?> {
            fn counted(&self) -> Count {
                Count::new(self.len(), self.$room(), size_of::<($($held,)+)>())
            }
        }
    )*};
}

counted!(
    Vec<T> capacity,
    VecDeque<T> capacity,
    BinaryHeap<T> capacity,
    HashSet<T; S> capacity,
    BTreeSet<T> len,
    HashMap<K, V; S> capacity,
    BTreeMap<K, V> len,
);
