//! Hands the flags that cargo compiles the workspace with to `oxilab install`, which reads them from
//! cargo's messages and gives them to every cell: the only place where cargo says them in full.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    println!("cargo::rustc-env=OXILAB_RUSTFLAGS={flags}");
}
