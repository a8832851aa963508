//! Classical models: baselines, boosted trees, linear models, metrics, tuning.
