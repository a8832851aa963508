//! What the process does with memory that was freed: [`keep_freed`].

/// Has the allocator keep up to 256 MB of what was freed (in each of its arenas), for whoever asks next, as
/// caching allocators do. A training step frees as much as it asks for: given back to the system at its end,
/// every page of it would be cleared anew in the next, which took nearly a third of the time of a
/// perceptron's step. Blocks of more than 32 MB go back at once.
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
        // Where they are refused, memory is given back as before. The first is what the allocator comes to
        // by itself at most; it stays as it is set.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
    }
}
