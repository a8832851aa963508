//! Data: ingest, validate, explore, transform, split.
