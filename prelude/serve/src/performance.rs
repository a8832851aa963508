//! How well predictions agreed with the truth: [`Performance`].

use oxilab_model::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A figure of predictions whose labels are known.
///
/// ```
/// use oxilab_model::Task;
/// use oxilab_serve::Performance;
/// use serde_json::json;
/// let said = [json!("yes"), json!("no"), json!("no")];
/// let true_ = [json!("yes"), json!("yes"), json!("no")];
/// let seen = Performance::of(Task::Binary, &said, &true_).unwrap();
/// assert_eq!((seen.metric.as_str(), seen.rows), ("accuracy", 3));
/// assert!((seen.value - 2.0 / 3.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// `accuracy` (higher is better) for classes, `rmse` (lower is better) for numbers.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Rows it is made of.
    pub rows: usize,
}

impl Performance {
    /// The figure of a task; `None` for tasks without a target or without a row whose label is known.
    #[must_use]
    pub fn of(task: Task, predictions: &[Value], labels: &[Value]) -> Option<Self> {
        let known = predictions.iter().zip(labels).filter(|(_, label)| !label.is_null());
        if task.is_classification() {
            let (mut right, mut rows) = (0_u32, 0_u32);
            for (said, label) in known {
                rows += 1;
                right += u32::from(same(said, label));
            }
            let value = f64::from(right) / f64::from(rows);
            return (rows > 0).then(|| Self {
                metric: "accuracy".to_owned(),
                value,
                rows: rows as usize,
            });
        }
        if task != Task::Regression {
            return None;
        }
        let (mut sum, mut rows) = (0.0, 0_u32);
        for (said, label) in known {
            let (Some(said), Some(label)) = (said.as_f64(), label.as_f64()) else { continue };
            sum += (said - label).powi(2);
            rows += 1;
        }
        let value = (sum / f64::from(rows)).sqrt();
        (rows > 0).then(|| Self { metric: "rmse".to_owned(), value, rows: rows as usize })
    }

    /// Whether a value of the metric is worse than a floor (for errors: a ceiling).
    #[must_use]
    pub fn worse_than(&self, bound: f64) -> bool {
        if self.metric == "rmse" { self.value > bound } else { self.value < bound }
    }
}

/// Labels may come as text where the model says a number, and the other way round.
fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => text(a) == text(b),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_what_has_none() {
        let said = [json!(1.0), json!(4), json!(7)];
        let seen = Performance::of(Task::Regression, &said, &[json!(1), json!(2), Value::Null]);
        let seen = seen.expect("two rows");
        assert_eq!((seen.metric.as_str(), seen.rows), ("rmse", 2));
        assert!((seen.value - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!(seen.worse_than(1.0) && !seen.worse_than(2.0));
        assert!(Performance::of(Task::Clustering, &said, &said).is_none());
        assert!(Performance::of(Task::Binary, &said, &[Value::Null]).is_none());
        let mixed =
            Performance::of(Task::Binary, &[json!("1"), json!(true)], &[json!(1), json!("true")]);
        assert!((mixed.expect("two").value - 1.0).abs() < 1e-12);
    }
}
