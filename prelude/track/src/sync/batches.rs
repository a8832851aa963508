//! Batches: what a server misses of one, its halves, what a single record is called.

use std::collections::HashMap;

use crate::Result;
use crate::mlflow::Mlflow;
use crate::record::{Batch, Metric};
use crate::tracker::Tracker;

/// A value as servers give it back: their databases have no infinities, and one NaN.
fn kept(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.clamp(f64::MIN, f64::MAX).to_bits() }
}

/// The metrics of a batch that the server does not have, in their order.
pub(super) fn missing(server: &Mlflow, remote: &str, metrics: Vec<Metric>) -> Result<Vec<Metric>> {
    let mut known: HashMap<String, Vec<(u64, i64, i64)>> = HashMap::new();
    for metric in &metrics {
        if !known.contains_key(&metric.key) {
            let history = match server.history(remote, &metric.key) {
                // A server that has none of the metric may say so as an error.
                Err(error) if !error.is_transient() => Vec::new(),
                other => other?,
            };
            let history = history.iter().map(|m| (kept(m.value), m.step, m.timestamp)).collect();
            known.insert(metric.key.clone(), history);
        }
    }
    let absent = |metric: &Metric| {
        let Some(history) = known.get(&metric.key) else { return true };
        !history.contains(&(kept(metric.value), metric.step, metric.timestamp))
    };
    Ok(metrics.into_iter().filter(|metric| absent(metric)).collect())
}

/// Two batches of half the size; `None` for a single record.
pub(super) fn halves(batch: &Batch) -> Option<(Batch, Batch)> {
    if batch.len() < 2 {
        return None;
    }
    let (mut left, mut right) = (Batch::default(), Batch::default());
    let half = batch.len() / 2;
    let mut taken = 0;
    let mut side = |left: &mut Batch, right: &mut Batch, put: &dyn Fn(&mut Batch)| {
        put(if taken < half { left } else { right });
        taken += 1;
    };
    for pair in &batch.params {
        side(&mut left, &mut right, &|batch| batch.params.push(pair.clone()));
    }
    for metric in &batch.metrics {
        side(&mut left, &mut right, &|batch| batch.metrics.push(metric.clone()));
    }
    for pair in &batch.tags {
        side(&mut left, &mut right, &|batch| batch.tags.push(pair.clone()));
    }
    Some((left, right))
}

/// What a batch of one record holds.
pub(super) fn name(batch: &Batch) -> String {
    if let Some(metric) = batch.metrics.first() {
        return format!("metric {:?} at step {}", metric.key, metric.step);
    }
    if let Some((key, _)) = batch.params.first() {
        return format!("parameter {key:?}");
    }
    batch.tags.first().map_or_else(String::new, |(key, _)| format!("tag {key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_hold_every_record_once() {
        let pair = |key: &str| (key.to_owned(), String::new());
        let metric = |step| Metric { key: "m".to_owned(), value: 0.0, step, timestamp: 0 };
        let batch = Batch {
            params: vec![pair("a"), pair("b")],
            metrics: vec![metric(1), metric(2), metric(3)],
            tags: vec![pair("t")],
        };
        let (left, right) = halves(&batch).expect("halves");
        assert_eq!((left.len(), right.len()), (3, 3));
        assert_eq!(left.metrics, [metric(1)]);
        assert_eq!((right.metrics.len(), right.tags.len()), (2, 1));
        assert!(halves(&Batch { tags: vec![pair("t")], ..Batch::default() }).is_none());
    }

    #[test]
    fn values_are_compared_as_databases_keep_them() {
        assert_eq!(kept(f64::INFINITY), kept(f64::MAX));
        assert_eq!(kept(f64::NAN), kept(-f64::NAN));
        assert_ne!(kept(0.1), kept(0.2));
    }
}
