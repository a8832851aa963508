//! `oxilab-server`: see the library.

fn main() -> std::process::ExitCode {
    oxilab_server::main()
}
