//! Looking into live values without taking them: `%who`, previews, the frame grid.
//!
//! The runtime does not know polars or candle. Crates that do register an inspector, which looks at a
//! value as `&dyn Any` and describes the types it knows. Of the other types generated code says how
//! they are looked at ([`Look`]).

mod peek;

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use oxilab_protocol::MimeBundle;
use serde_json::Value;

#[doc(hidden)]
pub use peek::{Count, Counted, Line, Look, Peek};

/// A page of a frame that the front end asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// First row.
    pub offset: usize,
    /// Number of rows.
    pub length: usize,
    /// Column to sort by.
    pub sort: Option<String>,
    /// Sort order.
    pub descending: bool,
}

type Bundle<'a> = Box<dyn Fn() -> MimeBundle + 'a>;
type Columns<'a> = Box<dyn Fn() -> Vec<String> + 'a>;
type Page<'a> = Box<dyn Fn(&PageRequest) -> Result<Value, String> + 'a>;

/// What an inspector says about a value. What costs time is a closure and runs only when asked for.
#[derive(Default)]
pub struct Inspection<'a> {
    pub(crate) shape: Option<String>,
    pub(crate) bytes: Option<u64>,
    pub(crate) preview: String,
    pub(crate) bundle: Option<Bundle<'a>>,
    pub(crate) columns: Option<Columns<'a>>,
    pub(crate) page: Option<Page<'a>>,
}

impl<'a> Inspection<'a> {
    /// An inspection with a preview of one line.
    #[must_use]
    pub fn new(preview: impl Into<String>) -> Self {
        Self { preview: preview.into(), ..Self::default() }
    }

    /// Adds the shape: `1000 × 4`, `len 3`.
    #[must_use]
    pub fn with_shape(mut self, shape: impl Into<String>) -> Self {
        self.shape = Some(shape.into());
        self
    }

    /// Adds the bytes held, heap included.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Adds the rich preview.
    #[must_use]
    pub fn with_bundle(mut self, bundle: impl Fn() -> MimeBundle + 'a) -> Self {
        self.bundle = Some(Box::new(bundle));
        self
    }

    /// Adds the column names of a frame.
    #[must_use]
    pub fn with_columns(mut self, columns: impl Fn() -> Vec<String> + 'a) -> Self {
        self.columns = Some(Box::new(columns));
        self
    }

    /// Adds pages of a frame: JSON `{"columns": [..], "dtypes": [..], "rows": [[..]], "height": n}`.
    #[must_use]
    pub fn with_page(mut self, page: impl Fn(&PageRequest) -> Result<Value, String> + 'a) -> Self {
        self.page = Some(Box::new(page));
        self
    }
}

/// Looks at a value; `None` when its type is not one that it knows.
pub type Inspector = for<'a> fn(&'a dyn Any) -> Option<Inspection<'a>>;

static INSPECTORS: Mutex<Vec<Inspector>> = Mutex::new(Vec::new());

/// Adds an inspector. The first that knows a type describes it, newest first.
pub fn register_inspector(inspector: Inspector) {
    INSPECTORS.lock().unwrap_or_else(PoisonError::into_inner).push(inspector);
}

/// Describes a value; `None` when no inspector knows its type.
#[must_use]
pub fn inspect(value: &dyn Any) -> Option<Inspection<'_>> {
    let inspectors = INSPECTORS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    inspectors.iter().rev().find_map(|inspector| inspector(value)).or_else(|| plain(value))
}

/// The values that need no library: numbers, texts and vectors of them.
fn plain(value: &dyn Any) -> Option<Inspection<'_>> {
    macro_rules! scalars {
        ($($kind:ty),*) => {$(
            if let Some(value) = value.downcast_ref::<$kind>() {
                return Some(Inspection::new(cut(&format!("{value:?}"))));
            }
        )*};
    }
    macro_rules! vectors {
        ($($kind:ty),*) => {$(
            if let Some(values) = value.downcast_ref::<Vec<$kind>>() {
                return Some(list(values, values.capacity()));
            }
        )*};
    }
    scalars!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool, char);
    if let Some(text) = value.downcast_ref::<String>() {
        let held = size_of::<String>() + text.capacity();
        return Some(self::text(text).with_bytes(held as u64));
    }
    if let Some(text) = value.downcast_ref::<&'static str>() {
        return Some(self::text(text));
    }
    vectors!(
        i8,
        i16,
        i32,
        i64,
        isize,
        u8,
        u16,
        u32,
        u64,
        usize,
        f32,
        f64,
        bool,
        char,
        &'static str
    );
    if let Some(texts) = value.downcast_ref::<Vec<String>>() {
        let heap: usize = texts.iter().map(String::capacity).sum();
        let own = texts.capacity() * size_of::<String>() + size_of::<Vec<String>>();
        return Some(list(texts, 0).with_bytes((heap + own) as u64));
    }
    None
}

fn text(text: &str) -> Inspection<'static> {
    let head: String = text.chars().take(PREVIEW).collect();
    Inspection::new(cut(&format!("{head:?}"))).with_shape(format!("len {}", text.len()))
}

fn list<T: std::fmt::Debug>(values: &[T], capacity: usize) -> Inspection<'static> {
    let head = &values[..values.len().min(PREVIEW / 2)];
    Inspection::new(cut(&format!("{head:?}")))
        .with_shape(format!("len {}", values.len()))
        .with_bytes((size_of::<Vec<T>>() + capacity * size_of::<T>()) as u64)
}

const PREVIEW: usize = 80;

/// Cuts a preview to one line of [`PREVIEW`] characters.
pub(crate) fn cut(text: &str) -> String {
    let mut line: String =
        text.chars().take(PREVIEW).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(PREVIEW).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_have_shape_bytes_and_preview() {
        let values = vec![1.5_f64; 100];
        let seen = inspect(&values).expect("known");
        assert_eq!(seen.shape.as_deref(), Some("len 100"));
        assert_eq!(seen.bytes, Some(824));
        assert!(seen.preview.starts_with("[1.5, 1.5") && seen.preview.ends_with('…'));
        assert!(seen.preview.chars().count() <= PREVIEW);
        assert_eq!(inspect(&"a\nb".to_owned()).expect("known").preview, r#""a\nb""#);
    }

    #[test]
    fn a_registered_inspector_is_asked_and_unknown_types_stay_unknown() {
        struct Mine(u8);
        struct Other;
        fn mine(value: &dyn Any) -> Option<Inspection<'_>> {
            let mine = value.downcast_ref::<Mine>()?;
            Some(
                Inspection::new("mine")
                    .with_bundle(move || MimeBundle::text(format!("number {}", mine.0))),
            )
        }
        register_inspector(mine);
        let value = Mine(7);
        let seen = inspect(&value).expect("known");
        assert_eq!((seen.bundle.expect("rich"))().plain(), "number 7");
        assert!(inspect(&Other).is_none());
    }
}
