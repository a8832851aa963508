//! A small world for tests: an index written by hand, a scripted compiler, a scripted worker.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, VariableInfo};

use super::index::{Facts, Index, IndexWriter};
use super::library::Library;
use super::own::Own;
use super::page::{Impl, Item, Member};
use super::world::World;
use super::{Desk, Live, TypeOracle};

pub(super) fn method(name: &str, parameters: &str, yields: &str) -> Member {
    let arrow = if yields.is_empty() { String::new() } else { format!(" -> {yields}") };
    Member {
        name: name.to_owned(),
        kind: "method".to_owned(),
        signature: format!("pub fn {name}({parameters}){arrow}"),
        yields: yields.to_owned(),
        docs: format!("<p>Does {name}.</p>"),
        ..Member::default()
    }
}

pub(super) fn item(kind: &str, declaration: &str, impls: Vec<Impl>) -> Item {
    Item { kind: kind.to_owned(), declaration: declaration.to_owned(), impls, ..Item::default() }
}

pub(super) fn inherent(header: &str, members: Vec<Member>) -> Impl {
    Impl { header: header.to_owned(), members, ..Impl::default() }
}

pub(super) fn of_trait(path: &str, header: &str, types: &[(&str, &str)]) -> Impl {
    let types = types.iter().map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned())).collect();
    Impl { of_trait: path.to_owned(), header: header.to_owned(), types, ..Impl::default() }
}

/// Vectors, iterators, frames.
pub(super) fn library() -> Arc<Library> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.index");
    let mut writer = IndexWriter::new(File::create(&path).expect("made")).expect("starts");
    let mut iterator = item("trait", "pub trait Iterator", Vec::new());
    iterator.members = vec![
        method("next", "&mut self", "std::option::Option<Self::Item>"),
        method("rev", "self", "std::iter::Rev<Self>"),
    ];
    let mut collect = method("collect", "self", "B");
    collect.signature = "fn collect<B: FromIterator<Self::Item>>(self) -> B".to_owned();
    iterator.members.push(collect);
    let mut hidden = item("trait", "pub trait Hidden", Vec::new());
    hidden.members = vec![method("hid", "&self", "")];
    let mut frame_ops = item("trait", "pub trait IntoLazy", Vec::new());
    frame_ops.members = vec![method("lazy", "self", "polars::prelude::LazyFrame")];
    let mut unstable = method("odd", "&self", "");
    unstable.unstable = true;
    let vector = item(
        "struct",
        "pub struct Vec<T, A = Global>",
        vec![
            inherent(
                "impl<T> std::vec::Vec<T>",
                vec![
                    method("new", "", "std::vec::Vec<T>"),
                    method("push", "&mut self, value: T", ""),
                    unstable,
                ],
            ),
            of_trait("std::ops::Deref", "impl<T> Deref for std::vec::Vec<T>", &[("Target", "[T]")]),
            of_trait(
                "std::iter::IntoIterator",
                "impl<T> IntoIterator for std::vec::Vec<T>",
                &[("Item", "T"), ("IntoIter", "std::vec::IntoIter<T>")],
            ),
        ],
    );
    let items = [
        ("std", item("mod", "", vec![])),
        ("std::vec", item("mod", "", vec![])),
        ("std::vec::Vec", vector.clone()),
        (
            "slice",
            item(
                "primitive",
                "",
                vec![inherent(
                    "impl<T> [T]",
                    vec![
                        method("len", "&self", "usize"),
                        method("first", "&self", "std::option::Option<&T>"),
                        method("iter", "&self", "std::slice::Iter<'_, T>"),
                    ],
                )],
            ),
        ),
        (
            "std::slice::Iter",
            item(
                "struct",
                "pub struct Iter<'a, T>",
                vec![of_trait(
                    "std::iter::Iterator",
                    "impl<'a, T> Iterator for std::slice::Iter<'a, T>",
                    &[("Item", "&'a T")],
                )],
            ),
        ),
        ("std::iter::Iterator", iterator),
        ("std::prelude::v1::Vec", vector),
        (
            "std::option::Option",
            Item {
                members: vec![Member {
                    name: "Some".to_owned(),
                    kind: "variant".to_owned(),
                    signature: "Some(T)".to_owned(),
                    ..Member::default()
                }],
                ..item(
                    "enum",
                    "pub enum Option<T>",
                    vec![inherent(
                        "impl<T> std::option::Option<T>",
                        vec![method("unwrap", "self", "T")],
                    )],
                )
            },
        ),
        (
            "usize",
            item(
                "primitive",
                "",
                vec![inherent("impl usize", vec![method("pow", "self, exp: u32", "usize")])],
            ),
        ),
        ("std::vec::vec", item("macro", "macro_rules! vec", vec![])),
        ("std::println", item("macro", "macro_rules! println", vec![])),
        ("polars", item("mod", "", vec![])),
        (
            "polars::prelude::DataFrame",
            item(
                "struct",
                "pub struct DataFrame",
                vec![
                    inherent(
                        "impl polars::prelude::DataFrame",
                        vec![
                            method("height", "&self", "usize"),
                            method(
                                "head",
                                "&self, length: Option<usize>",
                                "polars::prelude::DataFrame",
                            ),
                        ],
                    ),
                    of_trait(
                        "polars::prelude::IntoLazy",
                        "impl IntoLazy for polars::prelude::DataFrame",
                        &[],
                    ),
                    of_trait("polars::Hidden", "impl Hidden for polars::prelude::DataFrame", &[]),
                    of_trait("std::clone::Clone", "impl Clone for polars::prelude::DataFrame", &[]),
                ],
            ),
        ),
        (
            "polars::prelude::LazyFrame",
            item(
                "struct",
                "pub struct LazyFrame",
                vec![inherent(
                    "impl polars::prelude::LazyFrame",
                    vec![method(
                        "collect",
                        "self",
                        "std::result::Result<polars::prelude::DataFrame, E>",
                    )],
                )],
            ),
        ),
        ("polars::prelude::IntoLazy", frame_ops),
        ("polars::Hidden", hidden),
        (
            "polars::prelude::col",
            Item {
                yields: "polars::prelude::Expr".to_owned(),
                docs: "<p>A column.</p>".to_owned(),
                ..item("fn", "pub fn col(name: &str) -> Expr", vec![])
            },
        ),
        (
            "std::clone::Clone",
            Item {
                members: vec![method("clone", "&self", "Self")],
                ..item("trait", "pub trait Clone", vec![])
            },
        ),
    ];
    for (path, item) in &items {
        writer.add(path, item).expect("added");
    }
    let facts = Facts {
        in_scope: [
            ("col", "polars::prelude::col"),
            ("DataFrame", "polars::prelude::DataFrame"),
            ("polars", "polars"),
        ]
        .into_iter()
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect(),
        traits: vec!["IntoLazy".to_owned()],
    };
    writer.finish(&facts).expect("ended");
    // The file stays open when its folder goes.
    Arc::new(Library::new(vec![Arc::new(Index::open(&path).expect("opens"))]))
}

/// A notebook with a few variables and items.
pub(super) fn world() -> World {
    let mut own = Own::default();
    own.add("/// A point.\n#[derive(Clone)]\nstruct Point { x: f64, y: f64 }");
    own.add("impl Point { /// Its length.\n fn norm(&self) -> f64 { 0.0 } fn new() -> Self { todo!() } }");
    own.add("enum Color { Red, Green }");
    own.add("/// Twice.\nfn double(x: i32) -> i32 { x * 2 }");
    let variables = [
        ("df", "polars::frame::DataFrame"),
        ("numbers", "std::vec::Vec<usize>"),
        ("points", "std::vec::Vec<oxi_u0::Point>"),
        ("maybe", "std::option::Option<i32>"),
        ("pair", "(i32, oxi_u0::Point)"),
    ];
    World {
        library: library(),
        own,
        variables: variables.map(|(name, ty)| (name.to_owned(), ty.to_owned())).into(),
        crates: vec!["polars".to_owned(), "serde_json".to_owned()],
    }
}

/// Answers from a list, and remembers what was asked.
#[derive(Default)]
pub(super) struct Script {
    pub(super) types: BTreeMap<String, String>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl TypeOracle for Script {
    fn receiver_type<'a>(&'a self, whole: &'a str) -> BoxFuture<'a, Option<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(whole.to_owned());
        futures::future::ready(self.types.get(whole).cloned()).boxed()
    }
}

impl Live for Script {
    fn columns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<String>> {
        let columns: &[&str] = if name == "df" { &["price", "priority", "größe"] } else { &[] };
        futures::future::ready(columns.iter().map(|name| (*name).to_owned()).collect()).boxed()
    }

    fn about<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<VariableInfo>> {
        let about = VariableInfo {
            name: name.to_owned(),
            type_name: String::new(),
            shape: Some("3 × 2".to_owned()),
            bytes: 2048,
            preview: "price: i64".to_owned(),
            pages: true,
        };
        futures::future::ready(Some(about)).boxed()
    }

    fn preview<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Option<MimeBundle>> {
        futures::future::ready(Some(MimeBundle::text("┌┐").with_html("<table></table>"))).boxed()
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from("/nowhere")
    }
}

/// Everything together.
pub(super) fn desk() -> Desk {
    desk_with(Script::default())
}

pub(super) fn desk_with(script: Script) -> Desk {
    let script = Arc::new(script);
    let oracle: Arc<Script> = Arc::clone(&script);
    Desk { world: Arc::new(world()), oracle, live: script }
}
