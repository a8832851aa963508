//! The program `oxilab`: see [`oxilab_kernel::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    oxilab_kernel::cli::main()
}
