//! Busy and idle around every request.

use serde_json::json;

use crate::server::iopub::IoPub;
use crate::server::request::Parent;

/// Publishes busy when made and idle when dropped, however the request ended. Drop it after the reply.
pub(crate) struct Busy<'a> {
    iopub: &'a IoPub,
    parent: &'a Parent,
}

impl<'a> Busy<'a> {
    pub(crate) fn start(iopub: &'a IoPub, parent: &'a Parent) -> Self {
        iopub.publish(Some(parent), "status", json!({ "execution_state": "busy" }));
        Self { iopub, parent }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.iopub.publish(Some(self.parent), "status", json!({ "execution_state": "idle" }));
    }
}
