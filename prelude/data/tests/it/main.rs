//! Tests of the public interface: agreement with scipy and scikit-learn, files of every kind, and
//! pipelines from fit to file.

mod explore;
mod golden;
mod ingest;
mod pipeline;
mod postgres;
mod spreadsheet;
mod validate;
