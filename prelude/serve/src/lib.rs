//! Predictors, signatures, drift: what the server and the notebook share.
