//! What the process does with memory that was freed: [`keep_freed`].

/// Has the allocator keep up to [`KEPT`] of what was freed, for whoever asks next, as caching allocators do.
/// A training step frees as much as it asks for: given back to the system at its end, every page of it would
/// be cleared anew in the next, which took a quarter of the time of a perceptron's step. Blocks of more than
/// [`LARGE`] go back at once.
///
/// A worker does this when it starts. For the C library of GNU; elsewhere it does nothing.
///
/// ```
/// oxilab_runtime::memory::keep_freed();
/// ```
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the options take any number, and hold for what is allocated and freed from here on.
    #[expect(unsafe_code, reason = "the allocator has a C interface")]
    unsafe {
        // Where it is refused, memory is given back as before.
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// In bytes; the most that the allocator comes to by itself.
pub const LARGE: libc::c_int = 32 << 20;

/// In bytes, for each of the allocator's arenas.
pub const KEPT: libc::c_int = 256 << 20;
