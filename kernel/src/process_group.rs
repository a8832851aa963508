//! A child's process group, ended as a whole.

/// The process group of a child that was started with `process_group(0)`; killed when dropped, unless
/// [`ProcessGroup::release`]d.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    id: Option<i32>,
}

impl ProcessGroup {
    /// The group of the child with this process id.
    pub(crate) fn of(child: Option<u32>) -> Self {
        Self { id: child.and_then(|id| i32::try_from(id).ok()) }
    }

    /// Sends a signal to every process of the group.
    pub(crate) fn signal(&self, signal: i32) {
        let Some(id) = self.id else { return };
        #[expect(unsafe_code, reason = "the standard library cannot signal a process group")]
        // SAFETY: no memory is involved. The group was made for this child, which has not been waited
        // for under this id, or has members left; at worst there is no such group any more.
        unsafe {
            libc::killpg(id, signal);
        }
    }

    /// Leaves the group alone from now on.
    pub(crate) fn release(&mut self) {
        self.id = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
    }
}
