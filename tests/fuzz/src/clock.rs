//! Time that this thread has had a processor: the machine may be busy with something else.

use std::time::Duration;

/// `None` where the system does not tell.
pub(crate) fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
