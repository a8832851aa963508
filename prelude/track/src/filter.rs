//! MLflow's filter and order syntax, for backends that have no server: [`Filter`], [`sort`].
//!
//! `metrics.accuracy > 0.9 and params.depth = '6' and attributes.status != 'FAILED'`, with `=`, `!=`,
//! `>`, `>=`, `<`, `<=`, `LIKE`, `ILIKE`, joined by `and`. Names with spaces stand in backticks or double
//! quotes.

use std::cmp::Ordering;

use crate::record::RunRecord;
use crate::{Result, TrackError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Metric,
    Param,
    Tag,
    Attribute,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    field: Field,
    key: String,
    operator: String,
    value: Literal,
}

/// A query that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A bare word, with dots.
    Word(String),
    /// Text between quotes; the quote.
    Quoted(String, char),
    Operator(String),
}

fn bad(query: &str, reason: impl Into<String>) -> TrackError {
    TrackError::Query { query: query.chars().take(200).collect(), reason: reason.into() }
}

fn tokens(query: &str) -> Result<Vec<Token>> {
    let mut all = Vec::new();
    let mut rest = query.chars().peekable();
    while let Some(&next) = rest.peek() {
        if next.is_whitespace() {
            rest.next();
        } else if matches!(next, '\'' | '"' | '`') {
            rest.next();
            let mut text = String::new();
            loop {
                match rest.next() {
                    Some(c) if c == next => break,
                    Some(c) => text.push(c),
                    None => return Err(bad(query, format!("a {next} is not closed"))),
                }
            }
            all.push(Token::Quoted(text, next));
        } else if matches!(next, '=' | '!' | '<' | '>') {
            let mut operator = String::new();
            while let Some(c) = rest.next_if(|c| matches!(c, '=' | '!' | '<' | '>')) {
                operator.push(c);
            }
            let operator = if operator == "==" { "=".to_owned() } else { operator };
            if !matches!(operator.as_str(), "=" | "!=" | "<" | "<=" | ">" | ">=") {
                return Err(bad(query, format!("{operator:?} is no comparison")));
            }
            all.push(Token::Operator(operator));
        } else {
            let mut word = String::new();
            let ends = |c: &char| {
                c.is_whitespace() || matches!(c, '=' | '!' | '<' | '>' | '\'' | '"' | '`')
            };
            while let Some(c) = rest.next_if(|c| !ends(c)) {
                word.push(c);
            }
            all.push(Token::Word(word));
        }
    }
    Ok(all)
}

/// The field and key of `metrics.x`; `quoted` is the key when it stands in quotes after the dot.
fn name(query: &str, word: &str, quoted: Option<String>) -> Result<(Field, String)> {
    let (kind, key) = word.split_once('.').unwrap_or(("attributes", word));
    let field = match kind.to_lowercase().as_str() {
        "metrics" | "metric" => Field::Metric,
        "params" | "param" | "parameters" | "parameter" => Field::Param,
        "tags" | "tag" => Field::Tag,
        "attributes" | "attribute" | "attr" | "run" => Field::Attribute,
        _ => {
            let reason = format!("{kind:?} is none of metrics, params, tags, attributes");
            return Err(bad(query, reason));
        }
    };
    let key = quoted.unwrap_or_else(|| key.to_owned());
    let known = ["status", "run_name", "run_id", "start_time", "end_time", "experiment"];
    let key = if field == Field::Attribute {
        let alias = match key.as_str() {
            "name" | "Run name" | "run name" => "run_name".to_owned(),
            _ => key,
        };
        if !known.contains(&alias.as_str()) {
            let reason = format!("a run has no attribute {alias:?}, only {}", known.join(", "));
            return Err(bad(query, reason));
        }
        alias
    } else {
        key
    };
    Ok((field, key))
}

impl Filter {
    /// Reads a query; an empty one lets everything through.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn parse(query: &str) -> Result<Self> {
        let mut tokens = tokens(query)?.into_iter().peekable();
        let mut conditions = Vec::new();
        while tokens.peek().is_some() {
            if !conditions.is_empty() {
                match tokens.next() {
                    Some(Token::Word(word)) if word.eq_ignore_ascii_case("and") => {}
                    _ => return Err(bad(query, "conditions are joined by `and`")),
                }
            }
            let Some(Token::Word(word)) = tokens.next() else {
                return Err(bad(query, "a condition starts with a name such as metrics.accuracy"));
            };
            let mut quoted = None;
            if word.ends_with('.')
                && let Some(Token::Quoted(key, _)) = tokens.peek()
            {
                quoted = Some(key.clone());
                tokens.next();
            }
            let (field, key) = name(query, &word, quoted)?;
            let operator = match tokens.next() {
                Some(Token::Operator(operator)) => operator,
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("like") => "LIKE".to_owned(),
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("ilike") => "ILIKE".to_owned(),
                _ => return Err(bad(query, format!("a comparison is missing after {word}"))),
            };
            let value = match tokens.next() {
                Some(Token::Quoted(text, quote)) if quote != '`' => Literal::Text(text),
                Some(Token::Word(word)) => match word.parse() {
                    Ok(number) => Literal::Number(number),
                    Err(_) => return Err(bad(query, format!("text stands in quotes: '{word}'"))),
                },
                _ => return Err(bad(query, format!("a value is missing after {word} {operator}"))),
            };
            if field == Field::Metric && !matches!(value, Literal::Number(_)) {
                return Err(bad(query, format!("metrics.{key} is compared with a number")));
            }
            conditions.push(Condition { field, key, operator, value });
        }
        Ok(Self { conditions })
    }

    /// Whether a run passes.
    #[must_use]
    pub fn passes(&self, run: &RunRecord) -> bool {
        self.conditions.iter().all(|condition| condition.holds(run))
    }
}

impl Condition {
    fn holds(&self, run: &RunRecord) -> bool {
        match (&value(run, self.field, &self.key), &self.value) {
            (Some(Literal::Number(left)), Literal::Number(right)) => {
                compare(&self.operator, left.partial_cmp(right))
            }
            (Some(left), right) => {
                let (left, right) = (left.text(), right.text());
                match self.operator.as_str() {
                    "LIKE" => like(&left, &right),
                    "ILIKE" => like(&left.to_lowercase(), &right.to_lowercase()),
                    operator => compare(operator, Some(left.cmp(&right))),
                }
            }
            (None, _) => false,
        }
    }
}

impl Literal {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
fn value(run: &RunRecord, field: Field, key: &str) -> Option<Literal> {
    match field {
        Field::Metric => run.metrics.get(key).copied().map(Literal::Number),
        Field::Param => run.params.get(key).cloned().map(Literal::Text),
        Field::Tag => run.tags.get(key).cloned().map(Literal::Text),
        Field::Attribute => match key {
            "status" => Some(Literal::Text(run.status.as_str().to_owned())),
            "run_name" => Some(Literal::Text(run.name.clone())),
            "run_id" => Some(Literal::Text(run.id.clone())),
            "experiment" => Some(Literal::Text(run.experiment.clone())),
            "start_time" => Some(Literal::Number(run.start_time as f64)),
            _ => run.end_time.map(|end| Literal::Number(end as f64)),
        },
    }
}

fn compare(operator: &str, order: Option<Ordering>) -> bool {
    let Some(order) = order else { return operator == "!=" };
    match operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// SQL's LIKE: `%` is any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reach = vec![false; text.len() + 1];
    reach[0] = true;
    for wanted in pattern.chars() {
        if wanted == '%' {
            let first = reach.iter().position(|&r| r).unwrap_or(reach.len());
            reach.iter_mut().skip(first).for_each(|r| *r = true);
        } else {
            for at in (0..=text.len()).rev() {
                reach[at] = at > 0 && reach[at - 1] && (wanted == '_' || text[at - 1] == wanted);
            }
        }
    }
    reach[text.len()]
}

/// Sorts by `metrics.accuracy DESC, params.depth`; runs without the value, and NaN, come last. Empty is
/// newest first.
///
/// # Errors
/// If the order cannot be read.
pub(crate) fn sort(runs: &mut [RunRecord], order: &str) -> Result<()> {
    let mut keys = Vec::new();
    for part in order.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let upper = part.to_uppercase();
        let (word, down) = if upper.ends_with(" DESC") {
            (part[..part.len() - 5].trim(), true)
        } else if upper.ends_with(" ASC") {
            (part[..part.len() - 4].trim(), false)
        } else {
            (part, false)
        };
        let bare: String = word.chars().filter(|c| !matches!(c, '`' | '"')).collect();
        let (field, key) = name(order, &bare, None)?;
        keys.push((field, key, down));
    }
    if keys.is_empty() {
        keys.push((Field::Attribute, "start_time".to_owned(), true));
    }
    runs.sort_by(|left, right| {
        keys.iter()
            .map(|(field, key, down)| {
                let known = |run| {
                    value(run, *field, key)
                        .filter(|v| !matches!(v, Literal::Number(number) if number.is_nan()))
                };
                let order = match (known(left), known(right)) {
                    (None, None) => return Ordering::Equal,
                    (None, _) => return Ordering::Greater,
                    (_, None) => return Ordering::Less,
                    (Some(Literal::Number(a)), Some(Literal::Number(b))) => a.total_cmp(&b),
                    (Some(a), Some(b)) => a.text().cmp(&b.text()),
                };
                if *down { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Status;

    fn run(id: &str, accuracy: f64) -> RunRecord {
        RunRecord {
            id: id.to_owned(),
            name: format!("run {id}"),
            experiment: "e".to_owned(),
            status: Status::Finished,
            start_time: 1000,
            end_time: None,
            params: [("depth".to_owned(), "6".to_owned())].into(),
            metrics: [("accuracy".to_owned(), accuracy), ("a b".to_owned(), 1.0)].into(),
            tags: [("team".to_owned(), "Blue Lantern".to_owned())].into(),
        }
    }

    #[test]
    fn conditions_are_read_and_hold() {
        let run = run("a", 0.95);
        for (query, passes) in [
            ("", true),
            ("metrics.accuracy > 0.9", true),
            ("metrics.accuracy>=0.95 and params.depth = '6'", true),
            ("metrics.accuracy < 0.9", false),
            ("metrics.`a b` = 1", true),
            ("params.depth != \"6\"", false),
            ("tags.team LIKE 'Blue%'", true),
            ("tags.team like 'blue%'", false),
            ("tags.team ILIKE 'blue%n_ern'", true),
            ("attributes.status = 'FINISHED' AND status != 'FAILED'", true),
            ("metrics.missing > 0", false),
            ("run_name = 'run a'", true),
        ] {
            assert_eq!(Filter::parse(query).expect(query).passes(&run), passes, "{query}");
        }
    }

    #[test]
    fn unreadable_queries_say_why() {
        for (query, reason) in [
            ("metrics.a >", "a value is missing"),
            ("metrics.a > 'x'", "number"),
            ("params.a = x", "quotes"),
            ("params.a = 'x' or params.b = 'y'", "`and`"),
            ("metrics.a =! 2", "no comparison"),
            ("things.a = 2", "none of"),
            ("params.a = 'x", "not closed"),
            ("attributes.owner = 'x'", "no attribute"),
        ] {
            let message = Filter::parse(query).expect_err(query).to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn runs_are_sorted_with_nan_last() {
        let mut runs = vec![run("n", f64::NAN), run("l", 0.1), run("h", 0.9)];
        sort(&mut runs, "metrics.accuracy DESC").expect("sorted");
        assert_eq!(runs.iter().map(|run| run.id.as_str()).collect::<String>(), "hln");
        sort(&mut runs, "metrics.accuracy").expect("sorted");
        assert_eq!(runs.iter().map(|run| run.id.as_str()).collect::<String>(), "lhn");
    }
}
