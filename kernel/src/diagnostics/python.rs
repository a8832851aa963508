//! Hints for people who spell it as in Python: [`hint`] reads rustc's error and the code it points at,
//! and says how the same is written here.

mod spellings;

use std::ops::Range;

use spellings::{
    COLUMN, EXPRESSION, FRAME, FUNCTIONS, LEARNERS, MODULES, OPTIONS, PLOTS, STATEMENTS, Spellings,
};

/// What an error is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Error<'a> {
    /// `E0599`; empty for errors of syntax.
    pub(super) code: &'a str,
    /// The headline, paths shortened.
    pub(super) title: &'a str,
    /// The text at the primary place, paths shortened.
    pub(super) label: &'a str,
    /// The cell.
    pub(super) text: &'a str,
    /// The primary place in the cell.
    pub(super) range: &'a Range<usize>,
}

/// How the same is written here, if the error comes of a Python spelling.
pub(super) fn hint(error: &Error<'_>) -> Option<String> {
    let at = error.text.get(error.range.clone())?;
    let name = at.trim();
    let before = error.text.get(..error.range.start)?;
    let after = error.text.get(error.range.end..)?;
    match error.code {
        "E0599" | "E0609" | "E0615" | "E0277" if of(error.title, "DataFrame") => {
            if error.title.contains("cannot be indexed by `[&str") {
                return written("`df.select([\"x\", \"y\"])?`");
            }
            find(FRAME, name).or_else(|| {
                let field = error.code == "E0609";
                field.then(|| {
                    format!("a column is `df.column({name:?})?`, in an expression `col({name:?})`")
                })
            })
        }
        "E0599" | "E0609" | "E0615" if of(error.title, "LazyFrame") => {
            let group = matches!(name, "groupby" | "agg");
            group.then(|| "`.group_by([col(\"key\")]).agg([col(\"x\").mean()])`".to_owned())
        }
        "E0599" | "E0609" if of(error.title, "Column") || of(error.title, "Series") => {
            find(COLUMN, name)
        }
        "E0599" if of(error.title, "Expr") => find(EXPRESSION, name),
        "E0599" if of(error.title, "Plot") => find(PLOTS, name),
        "E0599" if RUST_LEARNERS.iter().any(|learner| of(error.title, learner)) => {
            find(OPTIONS, name)
        }
        "E0308" => types(error, before, after),
        "E0277" if error.title.contains("Expr: AsRef<str>") => written(
            "a frame selects by name; expressions are computed by `df.select_exprs([col(\"x\").sum()])?`",
        ),
        "E0277"
            if error.title.contains("`&str` is not an iterator") && called(before, "select") =>
        {
            written("names stand in brackets: `df.select([\"x\", \"y\"])?`")
        }
        "E0277" if error.title.ends_with("by `Expr`") || error.title.ends_with("to `Expr`") => {
            written("a number before an expression needs `lit`: `lit(2) * col(\"x\")`")
        }
        "E0369" => operators(error.title, name),
        "E0600" if of(error.title, "Expr") => written("`col(\"x\").not()`"),
        "E0425" | "E0433" | "E0423" | "E0061" => names(error, name, before, after),
        "E0614" if before.trim_end().ends_with('*') || at.starts_with('*') => {
            written("a power is `x.powi(2)`, `x.powf(0.5)` or, of whole numbers, `x.pow(2)`")
        }
        "" => syntax(error, before, after),
        _ => None,
    }
}

/// Types that take options of scikit-learn's under other names.
const RUST_LEARNERS: &[&str] = &[
    "DecisionTree",
    "FittedModel",
    "Folds",
    "KMeans",
    "LightGbm",
    "LinearRegression",
    "LogisticRegression",
    "RandomForest",
    "Ridge",
    "Split",
    "XgBoost",
];

/// Mismatched types.
fn types(error: &Error<'_>, before: &str, after: &str) -> Option<String> {
    if error.label.contains("with 4 elements") && after.contains("train_test_split(") {
        return written(
            "frames keep their target: `let (train, test) = train_test_split(&df, 0.2, 1)?;`, then `learner.fit(&train, \"y\")?`",
        );
    }
    let expression = error.label.ends_with("found `Expr`");
    if expression && error.label.contains("BooleanType") {
        return written("`df.filter_expr(col(\"x\").gt(lit(0)))?` filters by an expression");
    }
    if expression && error.label.contains("expected `bool`") {
        return written("conditions of expressions are joined by `.and(…)` and `.or(…)`");
    }
    if !error.label.starts_with("expected `Expr`") {
        return None;
    }
    let compares = |text: &str| text.trim_end().ends_with("==") || text.trim_end().ends_with("!=");
    if compares(before)
        || after.trim_start().starts_with("==")
        || error.label.contains("found `bool`")
    {
        return written(
            "`==` asks whether two expressions are the same one; values are compared by `col(\"x\").eq(lit(1))` and `.neq(…)`",
        );
    }
    written("a value in an expression is written `lit(1)`")
}

/// Operators between things that have none.
fn operators(title: &str, operator: &str) -> Option<String> {
    if of(title, "Column") || of(title, "Series") {
        return written(
            "rows are chosen by expressions: `df.filter_expr(col(\"x\").gt(lit(0)))?`, columns computed by `df.with_columns([(col(\"x\") + lit(1)).alias(\"y\")])?`",
        );
    }
    if !of(title, "Expr") {
        return None;
    }
    let verb = match operator {
        ">" => "gt",
        ">=" => "gt_eq",
        "<" => "lt",
        "<=" => "lt_eq",
        "&" => return written("`a.and(b)`"),
        "|" => return written("`a.or(b)`"),
        "^" => return written("`a.xor(b)`; a power is `col(\"x\").pow(lit(2))`"),
        _ => return None,
    };
    Some(format!("`col(\"x\").{verb}(lit(1))`"))
}

/// Names that are not there.
fn names(error: &Error<'_>, name: &str, before: &str, after: &str) -> Option<String> {
    let assigned = after.trim_start().strip_prefix('=').is_some_and(|rest| !rest.starts_with('='));
    let argument = before.trim_end().ends_with(['(', ',']);
    if error.code == "E0425" && assigned && argument {
        return Some(format!(
            "there are no keyword arguments: options are methods (`.with_{name}(…)`) or a struct of options"
        ));
    }
    if let Some(found) = find(LEARNERS, name) {
        return Some(found);
    }
    match error.code {
        "E0061" if name == "len" => find(FUNCTIONS, name),
        "E0061" => None,
        "E0433" => find(MODULES, name),
        "E0423" if name == "print" || name == "println" => None,
        _ if error.title.contains("function") => find(FUNCTIONS, name),
        _ => find(MODULES, name),
    }
}

/// What does not parse.
fn syntax(error: &Error<'_>, before: &str, after: &str) -> Option<String> {
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = error.text.get(start..)?.lines().next().unwrap_or_default();
    let first = line.trim_start();
    let word = first.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    // `from` and its like may name variables: only where another word follows.
    let rest = first.strip_prefix(word).unwrap_or_default();
    if rest.trim_start().starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '{'))
        && let Some(found) = find(STATEMENTS, word)
    {
        return Some(found);
    }
    let found = |token: &str| error.title.contains(&format!("found `{token}`"));
    if before.trim_end().ends_with("lambda") || word == "lambda" {
        return written("`|x| x + 1`");
    }
    if error.title.starts_with("prefix `f`") {
        return written("`format!(\"{name}\")`, or `println!(\"{name}\")`");
    }
    if error.title.contains("keyword `for`") && before.rfind('[') > before.rfind(']') {
        return written("`xs.iter().map(|x| x * 2).collect::<Vec<_>>()`");
    }
    if error.title.contains("keyword `in`") {
        return written("`xs.contains(&x)`");
    }
    if found("is") {
        return written("`x.is_none()` and `x.is_some()`; other values are compared by `==`");
    }
    if found(":") || error.title.contains("found `:`") {
        if before.trim_end().ends_with(['"', '\'']) {
            return written("`HashMap::from([(\"a\", 1), (\"b\", 2)])`, or `json!({ \"a\": 1 })`");
        }
        if matches!(word, "if" | "for" | "while" | "else") {
            return Some(format!("blocks stand in braces: `{word} … {{ … }}`"));
        }
    }
    if found(",") && before.rfind('[') > before.rfind(']') && after.trim_start().starts_with('"') {
        return written("`df.select([\"x\", \"y\"])?`");
    }
    None
}

/// Whether a headline is about a type of this name.
fn of(title: &str, type_name: &str) -> bool {
    title.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == type_name)
}

/// Whether the text in front ends inside a call of this method.
fn called(before: &str, method: &str) -> bool {
    before.trim_end().ends_with(&format!(".{method}("))
}

fn find(table: Spellings, name: &str) -> Option<String> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, text)| (*text).to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the arms of a match are options")]
fn written(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hint for an error at `«…»` in the text.
    fn at(code: &str, title: &str, label: &str, marked: &str) -> String {
        let start = marked.find('«').expect("a mark");
        let text = marked.replace(['«', '»'], "");
        let end = marked.find('»').expect("an end") - '«'.len_utf8();
        hint(&Error { code, title, label, text: &text, range: &(start..end) }).unwrap_or_default()
    }

    #[test]
    fn frames_are_spelled_otherwise() {
        let method = "no method named `groupby` found for struct `DataFrame` in the current scope";
        assert!(at("E0599", method, "", "df.«groupby»(\"a\")").contains("group_agg"));
        let field = "no field `price` on type `DataFrame`";
        assert!(
            at("E0609", field, "unknown field", "df.«price»").contains("df.column(\"price\")?")
        );
        let index = "the type `DataFrame` cannot be indexed by `[&str; 2]`";
        assert!(at("E0277", index, "", "df[«[\"a\", \"b\"]»]").contains("df.select"));
        let other = "no method named `groupby` found for struct `Mine` in the current scope";
        assert_eq!(at("E0599", other, "", "mine.«groupby»()"), "");
    }

    #[test]
    fn expressions_compare_by_methods() {
        let compare = "binary operation `>` cannot be applied to type `Expr`";
        assert_eq!(at("E0369", compare, "", "col(\"a\") «>» 1"), "`col(\"x\").gt(lit(1))`");
        let label = "expected `Expr`, found integer";
        assert!(at("E0308", "mismatched types", label, "col(\"a\") == «1»").contains(".eq("));
        assert!(at("E0308", "mismatched types", label, "col(\"a\") + «1»").contains("`lit(1)`"));
        let label = "expected `&ChunkedArray<BooleanType>`, found `Expr`";
        assert!(at("E0308", "mismatched types", label, "df.filter(«e»)").contains("filter_expr"));
        assert_eq!(at("E0308", "mismatched types", "expected `u8`, found `u16`", "f(«x»)"), "");
    }

    #[test]
    fn names_of_python_have_a_counterpart() {
        let value = "cannot find value `pd` in this scope";
        assert!(at("E0425", value, "", "«pd».read_csv(\"t\")").contains("data::read"));
        let function = "cannot find function `range` in this scope";
        assert_eq!(at("E0425", function, "", "for i in «range»(10) {}"), "`for i in 0..10`");
        let keyword = "cannot find value `how` in this scope";
        assert!(
            at("E0425", keyword, "", "df.join(o, «how»=\"left\")").contains("keyword arguments")
        );
        let other = "cannot find value `mine` in this scope";
        assert_eq!(at("E0425", other, "", "«mine» + 1"), "");
    }

    #[test]
    fn learners_have_other_names() {
        let undeclared = "cannot find type `XGBClassifier` in this scope";
        assert!(at("E0433", undeclared, "", "«XGBClassifier»::new()").contains("model::XgBoost"));
        let function = "cannot find function `SVC` in this scope";
        assert!(at("E0425", function, "", "let m = «SVC»()").contains("no support vector"));
        let option = "no method named `with_random_state` found for struct `RandomForest` in …";
        let seed = at("E0599", option, "", "RandomForest::new().«with_random_state»(1)");
        assert!(seed.contains("with_seed"), "{seed}");
        let label = "expected a tuple with 2 elements, found one with 4 elements";
        let four = "let «(a, b, c, d)» = train_test_split(&df, 0.2, 1)?;";
        assert!(at("E0308", "mismatched types", label, four).contains("(train, test)"));
        let plot = "no method named `hist` found for struct `Plot` in the current scope";
        assert!(at("E0599", plot, "", "df.plot().«hist»(\"x\")").contains("histogram"));
        let other = "no method named `with_random_state` found for struct `Mine` in …";
        assert_eq!(at("E0599", other, "", "mine.«with_random_state»(1)"), "");
    }

    #[test]
    fn statements_of_python_are_known_by_their_first_word() {
        let title = "expected one of `!`, `.`, `::`, `;`, `?`, `{`, `}`, or an operator, found `x`";
        assert!(at("", title, "", "let a = 1;\nimport «x»").contains("%dep"));
        assert!(at("", title, "", "let f = lambda «x»: x").contains("|x|"));
        let colon = "expected `{`, found `:`";
        assert!(at("", colon, "", "if x == 3«:» y").contains("braces"));
        let dict = "expected one of `.`, `;`, `?`, `}`, or an operator, found `:`";
        assert!(at("", dict, "", "let d = {\"a\"«:» 1};").contains("HashMap"));
        assert_eq!(at("", title, "", "let from = «x» y"), "");
    }
}
