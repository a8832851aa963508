//! Minimising a smooth function: [`minimise`], L-BFGS with a strong-Wolfe line search (Nocedal and
//! Wright, Numerical Optimization, algorithms 7.5, 3.5 and 3.6).

use crate::bar::Bar;
use crate::error::{Result, check_interrupt};
use crate::linalg::dot;

const MEMORY: usize = 10;

/// Where the search ended.
pub(crate) struct Minimum {
    pub(crate) point: Vec<f64>,
    pub(crate) iterations: usize,
}

/// Minimises `f`, which writes its gradient into its second argument and returns its value, until the
/// largest part of the gradient is at most `tol`.
#[expect(clippy::many_single_char_names, reason = "the letters of the formulas")]
pub(crate) fn minimise(
    start: Vec<f64>,
    max_iter: usize,
    tol: f64,
    f: impl Fn(&[f64], &mut [f64]) -> f64,
) -> Result<Minimum> {
    let mut x = start;
    let mut g = vec![0.0; x.len()];
    let mut value = f(&x, &mut g);
    // Steps, changes of the gradient, and 1 / (their product).
    let mut memory: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let mut iterations = 0;
    let bar = Bar::new("L-BFGS", max_iter);
    while iterations < max_iter && largest(&g) > tol {
        check_interrupt()?;
        let mut direction = two_loop(&g, &memory);
        let mut slope = dot(&direction, &g);
        if slope >= 0.0 {
            memory.clear();
            direction = g.iter().map(|g| -g).collect();
            slope = -dot(&g, &g);
        }
        let first = if memory.is_empty() { (1.0 / largest(&g)).min(1.0) } else { 1.0 };
        let Some(step) = search(&x, &direction, value, slope, first, &f) else { break };
        let s: Vec<f64> = direction.iter().map(|d| d * step.length).collect();
        let y: Vec<f64> = step.gradient.iter().zip(&g).map(|(new, old)| new - old).collect();
        let product = dot(&s, &y);
        if product > 1e-300 {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((s, y, 1.0 / product));
        }
        let stuck = step.value >= value && largest(&step.gradient) >= largest(&g);
        (x, g, value) = (step.point, step.gradient, step.value);
        iterations += 1;
        bar.message(format!("loss {value:.6}"));
        bar.step();
        if stuck {
            break;
        }
    }
    Ok(Minimum { point: x, iterations })
}

fn largest(g: &[f64]) -> f64 {
    g.iter().fold(0.0, |most, g| g.abs().max(most))
}

fn two_loop(g: &[f64], memory: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q = g.to_vec();
    let mut alphas = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, y, rho)) = memory.last() {
        let gamma = 1.0 / (rho * dot(y, y));
        for q in &mut q {
            *q *= gamma;
        }
    }
    for ((s, y, rho), alpha) in memory.iter().zip(alphas.iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    for q in &mut q {
        *q = -*q;
    }
    q
}

struct Step {
    length: f64,
    point: Vec<f64>,
    gradient: Vec<f64>,
    value: f64,
}

/// A step that lowers the value enough and flattens the slope; else the lowest one tried, if any is
/// lower than the start.
fn search(
    x: &[f64],
    direction: &[f64],
    value: f64,
    slope: f64,
    first: f64,
    f: &impl Fn(&[f64], &mut [f64]) -> f64,
) -> Option<Step> {
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut length = first;
    let mut best: Option<Step> = None;
    for _ in 0..40 {
        let point: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + length * d).collect();
        let mut gradient = vec![0.0; x.len()];
        let new = f(&point, &mut gradient);
        let new_slope = dot(&gradient, direction);
        let enough = new.is_finite() && new <= value + 1e-4 * length * slope;
        if enough && new_slope.abs() <= 0.9 * slope.abs() {
            return Some(Step { length, point, gradient, value: new });
        }
        if new.is_finite() && new <= best.as_ref().map_or(value, |best| best.value) {
            best = Some(Step { length, point, gradient, value: new });
        }
        if !enough || new_slope > 0.0 {
            high = length;
        } else {
            low = length;
        }
        length = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * length };
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_rosenbrocks_valley() {
        let found = minimise(vec![-1.2, 1.0], 200, 1e-10, |x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        })
        .unwrap();
        assert!((found.point[0] - 1.0).abs() < 1e-8, "{:?}", found.point);
        assert!(found.iterations < 60, "{}", found.iterations);
    }
}
