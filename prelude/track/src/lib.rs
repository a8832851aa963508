//! Experiment tracking and model registry: MLflow server, embedded journal, in memory.
