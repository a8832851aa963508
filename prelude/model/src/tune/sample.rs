//! Random, evenly spread and grid proposals.

use super::space::{Dimension, Space, Value};
use crate::matrix::float;
use crate::rng::Rng;

/// The part of a seed that orders [`spread`]; trials have the small numbers.
const SPREAD: u64 = u64::MAX;

/// Values drawn evenly.
pub(super) fn random(space: &Space, rng: &mut Rng) -> Vec<(String, Value)> {
    space
        .dimensions
        .iter()
        .map(|(name, dimension)| {
            let (low, high) = dimension.interval();
            (name.clone(), dimension.value(rng.between(low, high)))
        })
        .collect()
}

/// Place `number` of a Latin hypercube of `count` places: along every dimension, each of `count` equal
/// parts of the range has one of them.
pub(super) fn spread(
    space: &Space,
    seed: u64,
    number: usize,
    count: usize,
    rng: &mut Rng,
) -> Vec<(String, Value)> {
    let mut order = Rng::part(seed, SPREAD);
    space
        .dimensions
        .iter()
        .map(|(name, dimension)| {
            let part = f64::from(order.permutation(count)[number]) + rng.unit();
            let (low, high) = dimension.interval();
            (name.clone(), dimension.value(low + (high - low) * part / float(count)))
        })
        .collect()
}

/// The values of one dimension on a grid of `points`.
fn points(dimension: &Dimension, points: usize) -> Vec<Value> {
    let steps = |count: usize, low: f64, high: f64| -> Vec<Value> {
        let step = |i: usize| low + (high - low) * float(i) / float((count - 1).max(1));
        let mut values: Vec<Value> = (0..count).map(|i| dimension.value(step(i))).collect();
        values.dedup();
        values
    };
    match dimension {
        Dimension::Choice(choices) => choices.iter().cloned().map(Value::Text).collect(),
        Dimension::Int { low, high, .. } => {
            let count = usize::try_from(high.saturating_sub(*low)).unwrap_or(usize::MAX);
            let (low, high) =
                (dimension.inner(&Value::Int(*low)), dimension.inner(&Value::Int(*high)));
            let count = count.saturating_add(1).min(points);
            steps(count, low.unwrap_or(0.0), high.unwrap_or(0.0))
        }
        Dimension::Float { .. } => {
            let (low, high) = dimension.interval();
            steps(points, low, high)
        }
    }
}

/// Proposal `number` of the grid, the last dimension changing fastest; `None` after the last.
pub(super) fn grid(
    space: &Space,
    per_dimension: usize,
    number: usize,
) -> Option<Vec<(String, Value)>> {
    let axes: Vec<Vec<Value>> =
        space.dimensions.iter().map(|(_, d)| points(d, per_dimension.max(1))).collect();
    let mut rest = number;
    let mut out: Vec<(String, Value)> = Vec::new();
    for ((name, _), axis) in space.dimensions.iter().zip(&axes).rev() {
        out.push((name.clone(), axis[rest % axis.len()].clone()));
        rest /= axis.len();
    }
    out.reverse();
    (rest == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_values_leave_no_part_out() {
        let space = Space::new().float("x", 0.0, 10.0).int("n", 1, 10);
        let all: Vec<_> = (0..10)
            .map(|number| spread(&space, 3, number, 10, &mut Rng::part(3, number as u64)))
            .collect();
        let mut parts: Vec<i64> = all
            .iter()
            .map(|params| match params[0].1 {
                Value::Float(x) => x.floor() as i64,
                _ => panic!(),
            })
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, (0..10).collect::<Vec<_>>());
        let mut counts: Vec<String> = all.iter().map(|params| params[1].1.to_string()).collect();
        counts.sort_by_key(|n| n.parse::<i64>().unwrap());
        assert_eq!(counts, (1..=10).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn the_grid_holds_every_combination_once() {
        let space = Space::new().int("n", 1, 3).log_float("c", 0.01, 1.0).choice("k", ["a", "b"]);
        let all: Vec<_> = (0..).map_while(|number| grid(&space, 3, number)).collect();
        assert_eq!(all.len(), 18);
        assert!(all.iter().enumerate().all(|(i, a)| !all[..i].contains(a)));
        let Value::Float(middle) = all[2][1].1 else { panic!() };
        assert!((middle - 0.1).abs() < 1e-12, "{middle}");
    }
}
