//! The program `oxilab`: see [`oxilab_kernel::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    // evcxr starts this program again for its cells.
    #[cfg(feature = "evcxr")]
    oxilab_kernel::evcxr::runtime_hook();
    oxilab_kernel::cli::main()
}
