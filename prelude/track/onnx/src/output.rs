//! From numbers to predictions: classes by name, and what stands beside them.

use crate::error::{Result, consistent};
use crate::graph::{Graph, Setting, Type, Values};
use crate::parts::Parts;

/// The output that every model but a PCA has.
const PREDICTION: &str = "prediction";

/// What a booster says by its task: the probability of the second class, those of all, or numbers.
pub(crate) fn of_task(graph: &mut Graph, parts: &Parts<'_>, found: &str) -> Result<()> {
    match parts.size("task", 0)? {
        0 => second(graph, parts, found),
        1 => probabilities(graph, parts, found),
        _ => {
            values(graph, found);
            Ok(())
        }
    }
}

/// One number for each row.
pub(crate) fn values(graph: &mut Graph, values: &str) {
    let values = graph.rows_of(values, 0);
    graph.output(PREDICTION, &values, Type::F64, None);
}

/// The probability of the second of two classes.
pub(crate) fn second(graph: &mut Graph, parts: &Parts<'_>, p: &str) -> Result<()> {
    let (p, one) = (graph.rows_of(p, 1), graph.number(1.0));
    let rest = graph.op("Sub", &[&one, &p], &[]);
    let both = graph.beside(&[rest, p]);
    probabilities(graph, parts, &both)
}

/// The probability of every class, a column for each.
pub(crate) fn probabilities(graph: &mut Graph, parts: &Parts<'_>, p: &str) -> Result<()> {
    let schema = parts.schema();
    let classes = &schema.classes;
    consistent(classes.len() >= 2)?;
    let place = if classes.len() == 2 {
        let [first, second] = [0, 1].map(|class| {
            let column = graph.column(p, class);
            graph.rows_of(&column, 0)
        });
        let threshold = parts.file.f64("model/threshold")?.first().copied().unwrap_or(0.5);
        #[expect(clippy::float_cmp, reason = "the very number that nobody has changed")]
        let is_second = if threshold == 0.5 {
            graph.op("Greater", &[&second, &first], &[])
        } else {
            let threshold = graph.number(threshold);
            graph.op("GreaterOrEqual", &[&second, &threshold], &[])
        };
        graph.cast(&is_second, Type::I64)
    } else {
        graph.op("ArgMax", &[p], &[("axis", Setting::Int(1)), ("keepdims", Setting::Int(0))])
    };
    let dtype = schema.target_dtype.as_deref().unwrap_or_default();
    let whole = || classes.iter().map(|class| class.parse::<i64>().ok()).collect();
    let numbers = || classes.iter().map(|class| class.parse::<f64>().ok()).collect();
    let (names, kind) = match dtype {
        "bool" => {
            let truths: Vec<bool> = classes.iter().map(|class| class == "true").collect();
            (graph.constant(&[classes.len()], &Values::Bool(&truths)), Type::Bool)
        }
        dtype if dtype.starts_with(['i', 'u']) => {
            let whole: Option<Vec<i64>> = whole();
            consistent(whole.is_some())?;
            let whole = whole.unwrap_or_default();
            (graph.constant(&[classes.len()], &Values::I64(&whole)), Type::I64)
        }
        "f32" | "f64" => {
            let numbers: Option<Vec<f64>> = numbers();
            consistent(numbers.is_some())?;
            let numbers = numbers.unwrap_or_default();
            (graph.constant(&[classes.len()], &Values::F64(&numbers)), Type::F64)
        }
        _ => (graph.constant(&[classes.len()], &Values::Text(classes)), Type::Text),
    };
    let chosen = graph.op("Gather", &[&names, &place], &[("axis", Setting::Int(0))]);
    graph.output(PREDICTION, &chosen, kind, None);
    graph.output("probabilities", p, Type::F64, Some(classes.len()));
    Ok(())
}

/// The number of a cluster for each row.
pub(crate) fn labels(graph: &mut Graph, labels: &str) {
    graph.output(PREDICTION, labels, Type::I64, None);
}

/// Scores, and whether they are those of anomalies.
pub(crate) fn anomalies(graph: &mut Graph, score: &str) {
    let (score, limit) = (graph.rows_of(score, 0), graph.number(0.5));
    let odd = graph.op("Greater", &[&score, &limit], &[]);
    graph.output(PREDICTION, &odd, Type::Bool, None);
    graph.output("score", &score, Type::F64, None);
}

/// New columns.
pub(crate) fn columns(graph: &mut Graph, columns: &str, width: usize) {
    graph.output("components", columns, Type::F64, Some(width));
}
