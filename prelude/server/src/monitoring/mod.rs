//! What the server knows about itself and its models: metrics, the window for drift, capture, labels,
//! alerts.

pub(crate) mod alerts;
pub(crate) mod labels;
pub(crate) mod ledger;
pub(crate) mod metrics;
pub(crate) mod redact;
pub(crate) mod watch;
pub(crate) mod window;
pub(crate) mod writer;
