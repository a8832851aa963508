//! The variables of a session, by name, with their types erased.

use std::any::{Any, TypeId, type_name};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_protocol::{MimeBundle, StoredVariable, VariableInfo};
use serde_json::{Value, json};

use crate::inspect::{self, Inspection, Look, PageRequest};

/// What is known of a type once it is erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    type_name: &'static str,
    needs_drop: bool,
    size: usize,
}

impl Facts {
    pub(crate) fn of<T>() -> Self {
        Self {
            type_name: type_name::<T>(),
            needs_drop: std::mem::needs_drop::<T>(),
            size: size_of::<T>(),
        }
    }
}

struct Entry {
    value: Box<dyn Any>,
    facts: Facts,
    order: u64,
    look: Option<Look>,
}

/// Why a variable could not be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TakeError {
    Absent,
    OtherType { stored: &'static str },
}

#[derive(Default)]
pub(crate) struct Store {
    entries: HashMap<String, Entry>,
    next: u64,
    /// Names put by the running cell, in order.
    put: Vec<String>,
    /// Names taken by the running cell.
    taken: Vec<String>,
}

/// Values are made, used and dropped on the cell thread; after a take-over on the thread that took
/// over, when the old one is parked for good.
struct Held(Mutex<Option<Store>>);

// SAFETY: see `Held`: only one living thread ever touches the values.
#[expect(unsafe_code, reason = "the store outlives the cell thread")]
unsafe impl Sync for Held {}

static STORE: Held = Held(Mutex::new(None));

/// Works with the store. No user code may run inside: values to drop are returned.
pub(crate) fn with<T>(work: impl FnOnce(&mut Store) -> T) -> T {
    let mut held: MutexGuard<'_, Option<Store>> =
        STORE.0.lock().unwrap_or_else(PoisonError::into_inner);
    work(held.get_or_insert_with(Store::default))
}

impl Store {
    /// A cell begins: forget what earlier cells put and took.
    pub(crate) fn begin(&mut self) {
        self.put.clear();
        self.taken.clear();
    }

    /// Takes a value of just this type; another is left where it is.
    pub(crate) fn take(&mut self, name: &str, id: TypeId) -> Result<Box<dyn Any>, TakeError> {
        let Some(entry) = self.entries.get(name) else { return Err(TakeError::Absent) };
        if (*entry.value).type_id() != id {
            return Err(TakeError::OtherType { stored: entry.facts.type_name });
        }
        let Some(entry) = self.entries.remove(name) else { return Err(TakeError::Absent) };
        self.taken.push(name.to_owned());
        Ok(entry.value)
    }

    /// Stores a value; the newest of a cell is put first, so a second of the same name is older.
    /// Returns what is to be dropped.
    pub(crate) fn put(
        &mut self,
        name: &str,
        value: Box<dyn Any>,
        facts: Facts,
        look: Option<Look>,
    ) -> Option<Box<dyn Any>> {
        if self.put.iter().any(|put| put == name) {
            return Some(value);
        }
        self.put.push(name.to_owned());
        self.next += 1;
        let entry = Entry { value, facts, order: self.next, look };
        self.entries.insert(name.to_owned(), entry).map(|old| old.value)
    }

    /// What the running cell has put.
    pub(crate) fn stored(&self) -> Vec<StoredVariable> {
        self.put
            .iter()
            .filter_map(|name| {
                let entry = self.entries.get(name)?;
                Some(StoredVariable {
                    name: name.clone(),
                    type_name: entry.facts.type_name.to_owned(),
                    needs_drop: entry.facts.needs_drop,
                })
            })
            .collect()
    }

    /// What the running cell has taken and not put back.
    pub(crate) fn lost(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        self.taken
            .iter()
            .filter(|name| !self.entries.contains_key(*name) && seen.insert((*name).clone()))
            .cloned()
            .collect()
    }

    /// Takes variables out to be dropped, newest first; all of them when `names` is empty.
    pub(crate) fn remove(&mut self, names: &[String]) -> Vec<Box<dyn Any>> {
        let mut entries: Vec<Entry> = if names.is_empty() {
            self.entries.drain().map(|(_, entry)| entry).collect()
        } else {
            names.iter().filter_map(|name| self.entries.remove(name)).collect()
        };
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.order));
        entries.into_iter().map(|entry| entry.value).collect()
    }

    /// All variables in the order they were stored.
    pub(crate) fn variables(&self) -> Vec<VariableInfo> {
        let mut entries: Vec<(&String, &Entry)> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.order);
        entries
            .into_iter()
            .map(|(name, entry)| {
                let seen = entry.inspect();
                let preview = seen.as_ref().map(|seen| seen.preview.clone()).unwrap_or_default();
                VariableInfo {
                    name: name.clone(),
                    type_name: entry.facts.type_name.to_owned(),
                    shape: seen.as_ref().and_then(|seen| seen.shape.clone()),
                    pages: seen.as_ref().is_some_and(|seen| seen.page.is_some()),
                    bytes: seen.and_then(|seen| seen.bytes).unwrap_or(entry.facts.size as u64),
                    preview,
                }
            })
            .collect()
    }

    pub(crate) fn preview(&self, name: &str) -> Result<MimeBundle, String> {
        let entry = self.entry(name)?;
        match entry.inspect() {
            Some(Inspection { bundle: Some(bundle), .. }) => Ok(bundle()),
            Some(seen) if !seen.preview.is_empty() => Ok(MimeBundle::text(seen.preview)),
            _ => Ok(MimeBundle::text(entry.facts.type_name)),
        }
    }

    pub(crate) fn columns(&self, name: &str) -> Result<Value, String> {
        let entry = self.entry(name)?;
        match entry.inspect().and_then(|seen| seen.columns) {
            Some(columns) => Ok(json!(columns())),
            None => Err(format!("`{name}` has no columns: it is a `{}`", entry.facts.type_name)),
        }
    }

    pub(crate) fn page(&self, name: &str, page: &PageRequest) -> Result<Value, String> {
        let entry = self.entry(name)?;
        match entry.inspect().and_then(|seen| seen.page) {
            Some(pages) => pages(page),
            None => Err(format!("`{name}` is not a frame: it is a `{}`", entry.facts.type_name)),
        }
    }

    fn entry(&self, name: &str) -> Result<&Entry, String> {
        self.entries.get(name).ok_or_else(|| format!("there is no variable `{name}`"))
    }
}

impl Entry {
    fn inspect(&self) -> Option<Inspection<'_>> {
        let value = &*self.value;
        inspect::inspect(value).or_else(|| self.look.and_then(|look| look.inspect(value)))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::inspect::Peek as _;

    impl Store {
        fn put_value<T: 'static>(&mut self, name: &str, value: T) -> Option<Box<dyn Any>> {
            self.put(name, Box::new(value), Facts::of::<T>(), None)
        }

        fn take_value<T: 'static>(&mut self, name: &str) -> Result<T, TakeError> {
            let value = self.take(name, TypeId::of::<T>())?;
            Ok(*value.downcast::<T>().expect("the type was compared"))
        }
    }

    #[test]
    fn a_mismatch_leaves_the_value_and_names_its_type() {
        let mut store = Store::default();
        store.begin();
        assert!(store.put_value("x", vec![1_i32]).is_none());
        store.begin();
        assert_eq!(
            store.take_value::<String>("x").expect_err("other type"),
            TakeError::OtherType { stored: "alloc::vec::Vec<i32>" }
        );
        assert_eq!(store.take_value::<u8>("y").expect_err("absent"), TakeError::Absent);
        assert!(store.lost().is_empty());
        assert_eq!(store.take_value::<Vec<i32>>("x").expect("same type"), [1]);
        assert_eq!(store.lost(), ["x"]);
    }

    #[test]
    fn the_newest_of_a_cell_wins_and_replaces_the_last_cells_value() {
        let mut store = Store::default();
        let old = Rc::new("old cell");
        store.begin();
        store.put_value("x", Rc::clone(&old));
        store.begin();
        let dropped = store.put_value("x", "newest".to_owned());
        assert!(dropped.is_some_and(|value| value.is::<Rc<&str>>()));
        let dropped = store.put_value("x", 5_u8);
        assert!(dropped.is_some_and(|value| value.is::<u8>()));
        let stored = store.stored();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].type_name, "alloc::string::String");
        assert!(stored[0].needs_drop);
        assert_eq!(store.take_value::<String>("x").expect("newest"), "newest");
    }

    #[test]
    fn removal_is_newest_first() {
        let mut store = Store::default();
        store.begin();
        store.put_value("a", 1_u8);
        store.put_value("b", 2_u8);
        store.begin();
        store.put_value("c", 3_u8);
        let values: Vec<u8> = store
            .remove(&[])
            .into_iter()
            .map(|value| *value.downcast::<u8>().expect("u8"))
            .collect();
        assert_eq!(values, [3, 2, 1]);
    }

    #[test]
    fn variables_are_listed_in_order_with_previews() {
        struct Opaque(#[expect(dead_code, reason = "only its size counts")] u64);
        let mut store = Store::default();
        store.begin();
        store.put_value("xs", vec![1_i64, 2]);
        store.put_value("o", Opaque(1));
        let pair = ("a".to_owned(), Some(2));
        store.put(
            "p",
            Box::new(pair),
            Facts::of::<(String, Option<i32>)>(),
            <(String, Option<i32>)>::look(),
        );
        let listed = store.variables();
        assert_eq!(listed.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["xs", "o", "p"]);
        assert_eq!(listed[0].shape.as_deref(), Some("len 2"));
        assert_eq!((listed[1].bytes, listed[1].preview.as_str()), (8, ""));
        assert_eq!(listed[2].preview, r#"("a", Some(2))"#);
        let shown = |name| store.preview(name).expect("there").plain().to_owned();
        assert_eq!(shown("p"), listed[2].preview);
        assert!(shown("o").ends_with("Opaque"), "the type of what has no text");
        assert!(store.columns("xs").expect_err("no frame").contains("no columns"));
        assert!(store.preview("gone").expect_err("absent").contains("`gone`"));
    }
}
