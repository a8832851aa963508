//! `oxilab-server`: see the library.

/// Each request makes and drops a frame of many small columns.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    oxilab_server::main()
}
