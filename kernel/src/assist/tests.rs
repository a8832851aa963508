//! Completion and inspection over a small world, without files, compiler or worker.

use super::testing::{Script, desk, desk_with, world};
use super::*;
use crate::server::handler::Completions;

/// Completions at the `|` of a text.
async fn at(desk: &Desk, text: &str) -> Completions {
    let cursor = text.split('|').next().expect("a cursor").chars().count();
    complete(desk, &text.replacen('|', "", 1), cursor).await
}

async fn texts(text: &str) -> Vec<String> {
    at(&desk(), text).await.items.into_iter().map(|item| item.text).collect()
}

async fn plain(text: &str, detail: u8) -> Option<String> {
    let cursor = text.split('|').next().expect("a cursor").chars().count();
    let found = inspect(&desk(), &text.replacen('|', "", 1), cursor, detail).await?;
    Some(found.plain().to_owned())
}

#[tokio::test]
async fn members_of_variables_come_with_signatures() {
    let found = at(&desk(), "df.he|").await;
    let texts: Vec<&str> = found.items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["head", "height"]);
    assert_eq!((found.start, found.end), (3, 5));
    assert_eq!(found.items[1].signature, "fn height(&self) -> usize");
    assert_eq!(found.items[1].kind, "method");
}

#[tokio::test]
async fn traits_count_when_they_are_in_scope() {
    let found = texts("df.|").await;
    assert!(found.contains(&"lazy".to_owned()) && found.contains(&"clone".to_owned()), "{found:?}");
    assert!(!found.contains(&"hid".to_owned()), "{found:?}");
    let imported = texts("use polars::Hidden;\ndf.hi|").await;
    assert_eq!(imported, ["hid"]);
}

#[tokio::test]
async fn vectors_have_the_methods_of_slices_and_nothing_unstable() {
    let found = texts("numbers.|").await;
    assert_eq!(found[0], "first");
    assert!(["push", "len", "iter"].iter().all(|name| found.contains(&(*name).to_owned())));
    assert!(!found.contains(&"odd".to_owned()) && !found.contains(&"new".to_owned()));
}

#[tokio::test]
async fn chains_are_followed_by_their_signatures() {
    assert_eq!(texts("df.clone().lazy().collect()?.hei|").await, ["height"]);
    assert_eq!(texts("numbers.first().unwrap().p|").await, ["pow"]);
    assert_eq!(texts("let a = df.head(None);\nlet b = (1, a);\nb.1.hei|").await, ["height"]);
    assert_eq!(texts("for n in &numbers { n.p|").await, ["pow"]);
    assert_eq!(texts("if let Some(n) = numbers.first() { n.p|").await, ["pow"]);
    assert_eq!(texts("points[0].no|").await, ["norm"]);
    assert_eq!(texts("vec![df.clone()][0].hei|").await, ["height"]);
    assert_eq!(texts("fn f(frame: &DataFrame) { frame.hei|").await, ["height"]);
    assert_eq!(texts("println!(\"{}\", df.hei|").await, ["height"]);
    assert_eq!(texts("pair.|").await, ["0", "1"]);
    assert_eq!(texts("numbers.iter().rev|").await, ["rev"]);
}

#[tokio::test]
async fn the_compiler_is_asked_where_signatures_do_not_tell() {
    let whole = "numbers.iter().map(|n| n.oxilab_hole)";
    let mut script = Script::default();
    script.types.insert(whole.to_owned(), "&usize".to_owned());
    let desk = desk_with(script);
    let cursor = "numbers.iter().map(|n| n.".chars().count();
    let found = complete(&desk, "numbers.iter().map(|n| n.", cursor).await;
    assert!(found.items.iter().any(|item| item.text == "pow"), "{found:?}");
    // What the signatures tell is not asked.
    assert_eq!(at(&desk_with(Script::default()), "df.hei|").await.items.len(), 1);
}

#[tokio::test]
async fn own_types_have_fields_methods_and_variants() {
    assert_eq!(texts("points[0].|").await[..3], ["x", "y", "norm"]);
    assert_eq!(texts("Color::|").await, ["Red", "Green"]);
    assert_eq!(texts("Point::n|").await, ["norm", "new"]);
    assert_eq!(texts("Point { x: 1.0, |").await, ["y"]);
    assert_eq!(texts("struct Now { width: u8 }\nlet n: Now = f();\nn.|").await, ["width"]);
    assert_eq!(texts("struct Now { width: u8 }\nlet n: Now = f();\nn.w|").await, ["width"]);
}

#[tokio::test]
async fn names_macros_and_paths() {
    let found = at(&desk(), "do|").await;
    assert_eq!(found.items[0].text, "double");
    assert_eq!(found.items[0].signature, "fn double(x: i32) -> i32");
    assert_eq!(texts("printl|").await, ["println!"]);
    assert_eq!(texts("co|").await, ["col", "const", "continue"]);
    assert_eq!(texts("use std::ve|").await, ["vec"]);
    assert_eq!(texts("use po|").await, ["polars"]);
    assert!(texts("std::vec::|").await.contains(&"vec!".to_owned()));
    assert_eq!(texts("Vec::ne|").await, ["new"]);
    let locals = at(&desk(), "let longer = df.height();\nlong|").await;
    assert_eq!(
        (locals.items[0].text.as_str(), locals.items[0].signature.as_str()),
        ("longer", "usize")
    );
    assert_eq!(texts("let broken = = ;\nlet longer = 1;\nlong|").await, ["longer"]);
}

#[tokio::test]
async fn columns_stand_in_strings() {
    assert_eq!(texts("df.filter(col(\"pr|").await, ["price", "priority"]);
    assert_eq!(texts("df[\"gr|").await, ["größe"]);
    assert_eq!(texts("df.column(\"pri|\")").await, ["price", "priority"]);
    assert_eq!(texts("numbers.len(); col(\"pri|").await, ["price", "priority"]);
    assert_eq!(texts("println!(\"pri|").await, Vec::<String>::new());
    let found = at(&desk(), "df[\"grö|").await;
    assert_eq!((found.start, found.end), (4, 7));
}

#[tokio::test]
async fn magics_have_names_and_arguments() {
    let found = at(&desk(), "%wh|").await;
    assert!(found.items.iter().any(|item| item.text == "who" && item.kind == "magic"), "{found:?}");
    assert_eq!((found.start, found.end), (1, 3));
    assert!(texts("%%ti|").await.contains(&"time".to_owned()));
    assert_eq!(texts("%opt a|").await, ["auto"]);
    assert_eq!(texts("%time df.hei|").await, ["height"]);
    assert_eq!(texts("%%time\ndf.hei|").await, ["height"]);
    assert!(texts("%help wh|").await.contains(&"who".to_owned()));
}

#[tokio::test]
async fn positions_are_code_points_and_odd_places_are_empty() {
    let found = at(&desk(), "let é = \"🦀\"; df.hei|").await;
    assert_eq!((found.start, found.end), (16, 19));
    for text in
        ["", "|", "df.|)))", "🦀|", "e\u{301}|", "let x = |\"", "((((.|", "}}}.|", "'|", "r#\"|"]
    {
        let _ = texts(&format!("{text}|")).await;
    }
    // Inside and past the text.
    for cursor in 0..40 {
        let code = "🦀e\u{301}.df.\n\"\\ { <";
        let found = complete(&desk(), code, cursor).await;
        assert!(found.start <= found.end && found.end <= code.chars().count(), "{cursor}");
        let _ = inspect(&desk(), code, cursor, 1).await;
    }
    assert!(texts("// df.he|").await.is_empty());
}

#[tokio::test]
async fn inspection_tells_of_every_kind_of_name() {
    let text = plain("df.hei|ght()", 0).await.expect("method");
    assert!(
        text.starts_with("pub fn height(&self) -> usize") && text.contains("Does height."),
        "{text}"
    );
    let text = plain("col(|", 0).await.expect("function around the cursor");
    assert!(
        text.contains("pub fn col(name: &str) -> Expr") && text.contains("A column."),
        "{text}"
    );
    let text = plain("df|", 0).await.expect("variable");
    assert!(text.contains("df: DataFrame") && text.contains("3 × 2, 2.0 kB"), "{text}");
    let text = plain("double|", 0).await.expect("own function");
    assert!(text.starts_with("fn double(x: i32) -> i32") && text.contains("Twice."), "{text}");
    assert!(!text.contains("x * 2"));
    assert!(plain("double|", 1).await.expect("source").contains("x * 2"));
    assert!(plain("Color::Re|d", 0).await.expect("variant").contains("Red"));
    assert!(plain("points[0].norm|", 0).await.expect("own method").contains("Its length."));
    let text = plain("points[0].norm|", 1).await.expect("source of an own method");
    assert!(text.starts_with("/// Its length.\nfn norm(&self) -> f64 { 0.0 }"), "{text}");
    let text = plain("Point::new|", 1).await.expect("source of an own function");
    assert!(text.starts_with("fn new() -> Self { todo!() }"), "{text}");
    assert!(plain("df.height|", 1).await.expect("of a crate").contains("Does height."));
    assert!(plain("%who|", 0).await.expect("magic").contains("%who"));
    assert!(
        plain("let here = df.height();\nhere|", 0).await.expect("local").contains("here: usize")
    );
    for nothing in ["|", "nowhere|", "df.nothing|", "\"df|\"", "1|"] {
        assert_eq!(plain(nothing, 0).await, None, "{nothing}");
    }
    let bundle = inspect(&desk(), "df.height", 9, 0).await.expect("found");
    assert!(bundle.data["text/html"].as_str().expect("html").contains("<p>Does height.</p>"));
    assert!(bundle.data["text/markdown"].as_str().expect("markdown").starts_with("```rust\n"));
}

#[test]
fn help_is_asked_for_where_no_operator_can_be() {
    // Indices are not needed to tell, except for a field of a crate's type.
    let names = World { library: Arc::default(), ..world() };
    let asked = |code: &str| help_request(code).filter(|help| !help.is_rust(&names));
    let help = |code: &str| asked(code).map(|help| (help.subject, help.detail));
    let some = |subject: &str, detail| Some((subject.to_owned(), detail));
    assert_eq!(help("df?"), some("df", 0));
    assert_eq!(help("let a = 1;\ndf.height??"), some("df.height", 1));
    assert_eq!(help("?double"), some("double", 0));
    assert_eq!(help("println!?"), some("println!", 0));
    assert_eq!(help("std::vec::Vec?\n"), some("std::vec::Vec", 0));
    assert_eq!(help("%time?"), some("%time", 0));
    for rust in
        ["maybe?", "maybe??", "f()?", "df.lazy()?", "let x = df?", "1?", "\"a?", "a +\nb?", ""]
    {
        assert_eq!(help(rust), None, "{rust}");
    }
    assert_eq!(asked("let a = 1;\ndf?").expect("help").before, "let a = 1;\n");
    for code in ["let r = f();\nr?", "let df = f();\ndf?", "f();\nunknown?"] {
        assert_eq!(asked(code), None, "{code}");
    }
    let needs_crates = |code: &str| asked(code).is_some_and(|help| help.names_a_field(&names));
    assert!(needs_crates("df.height?"));
    for code in ["df?", "?df.height", "Vec::new?", "nothing.here?", "%time?", "f()?"] {
        assert!(!needs_crates(code), "{code}");
    }
}
