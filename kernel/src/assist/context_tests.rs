use super::*;

fn names(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn code_behind_a_dot_is_made_whole() {
    for (before, whole) in [
        ("df.", "df.oxilab_hole"),
        ("df.he", "df.oxilab_hole"),
        ("let x = df.", "let x = df.oxilab_hole;"),
        ("f(a, b.", "f(a, b.oxilab_hole)"),
        (
            "let y = v.iter().map(|r| { let z = r.",
            "let y = v.iter().map(|r| { let z = r.oxilab_hole;});",
        ),
        ("if x.", "if x.oxilab_hole {}"),
        ("for a in v[0].", "for a in v[0].oxilab_hole {}"),
        ("if a { 1 } else { 2 }.", "if a { 1 } else { 2 }.oxilab_hole"),
        ("S { a: x.", "S { a: x.oxilab_hole}"),
        ("match x { A => y.", "match x { A => y.oxilab_hole}"),
        ("fn f(a: B) {\n    a.", "fn f(a: B) {\n    a.oxilab_hole}"),
        ("let a = 1; b.", "let a = 1; b.oxilab_hole"),
    ] {
        let (_, context) = at_end(before);
        assert_eq!(context, Context::Member { whole: whole.to_owned() }, "{before}");
        let Context::Member { whole } = context else { panic!() };
        let block = format!("{{{whole}}}");
        assert!(syn::parse_str::<syn::Block>(&block).is_ok(), "{block}");
    }
    assert_eq!(at_end("0..n").1, Context::Name);
    assert_eq!(at_end("1.").1, Context::Member { whole: "1.oxilab_hole".to_owned() });
}

#[test]
fn paths_and_imports() {
    let path = |words: &[&str], import| Context::Path { segments: names(words), import };
    assert_eq!(at_end("std::vec::Ve"), ("Ve".to_owned(), path(&["std", "vec"], false)));
    assert_eq!(at_end("Vec::<i32>::").1, path(&["Vec"], false));
    assert_eq!(at_end("use std::{fmt, collections::Ha").1, path(&["std", "collections"], true));
    assert_eq!(at_end("use std::{fmt, co").1, path(&["std"], true));
    assert_eq!(at_end("use po"), ("po".to_owned(), Context::Import));
    assert_eq!(at_end("let a: std::").1, path(&["std"], false));
    assert_eq!(at_end("#[derive(Clone, De").1, Context::Derive);
}

#[test]
fn fields_of_a_literal_that_are_not_there_yet() {
    let fields = |path: &[&str], present: &[&str]| Context::Field {
        path: names(path),
        present: names(present),
    };
    assert_eq!(at_end("let p = Point { ").1, fields(&["Point"], &[]));
    assert_eq!(at_end("g::Point { x: f(1, 2), y").1, fields(&["g", "Point"], &["x"]));
    assert_eq!(at_end("struct Point { ").1, Context::Name);
    assert_eq!(at_end("impl Point { ").1, Context::Name);
    assert_eq!(at_end("Point { x: a").1, Context::Name);
}

#[test]
fn strings_know_what_they_are_arguments_of() {
    let (_, context) = at_end("let a = 1; df.clone().lazy().filter(col(\"pri");
    let Context::Text { content, callees, names: found } = context else { panic!() };
    assert_eq!((content.as_str(), callees), ("pri", names(&["col", "filter"])));
    assert_eq!(found, names(&["df", "clone", "lazy", "filter", "col"]));
    let Context::Text { callees, .. } = at_end("df[\"").1 else { panic!() };
    assert_eq!(callees, ["["]);
    let Context::Text { callees, .. } = at_end("df.select([\"a\", \"").1 else { panic!() };
    assert_eq!(callees, ["select"]);
    let Context::Text { callees, .. } = at_end("println!(\"").1 else { panic!() };
    assert_eq!(callees, ["println!"]);
}

#[test]
fn comments_numbers_and_odd_text_are_nothing_to_complete() {
    assert_eq!(at_end("// df.").1, Context::Nothing);
    assert_eq!(at_end("12").1, Context::Nothing);
    assert_eq!(at_end("").1, Context::Name);
    for odd in [")", "}}}}", "🦀", "e\u{301}", "::", ".", "<<>>::", "use {", "'", "\"\\"] {
        let _ = at_end(odd);
    }
}
