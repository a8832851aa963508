//! Tests of the whole crate against golden files from scikit-learn, LightGBM, shap and Optuna
//! (`golden/generate.py`), and of what happens with bad input.

mod bad_input;
mod calibration;
mod corrupted;
mod explain;
mod golden;
mod learners;
mod lightgbm;
mod metrics;
mod models;
mod pipeline;
mod tuning;
mod weights;
mod xgboost;
