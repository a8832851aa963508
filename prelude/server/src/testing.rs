//! What several unit tests need.

/// A model of LightGBM's that tells one kind of iris from the others.
pub(crate) const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/virginica.lgb.txt");
