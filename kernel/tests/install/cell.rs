//! Compiles an expression as a cell would be and runs it in a process of its own, which loads the
//! libraries by their paths as the worker does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oxilab_kernel::dep::SessionLibrary;
use oxilab_kernel::install::Prelude;

/// Loads the libraries named on its command line in order and calls `cell` in the last.
const LOADER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char **paths) {
    void *last = 0;
    for (int i = 1; i < count; i++) {
        last = dlopen(paths[i], RTLD_NOW | RTLD_GLOBAL);
        if (!last) { fprintf(stderr, "%s\n", dlerror()); return 2; }
    }
    void (*cell)(void) = (void (*)(void))dlsym(last, "cell");
    if (!cell) { fprintf(stderr, "%s\n", dlerror()); return 3; }
    cell();
    return 0;
}
"#;

/// What the expression, a `String`, is.
pub(super) fn run(prelude: &Prelude, libraries: &[SessionLibrary], expression: &str) -> String {
    let folder = tempfile::tempdir().expect("folder");
    let cell = compile(prelude, libraries, expression, folder.path());
    let mut command = Command::new(loader(folder.path()));
    command.env_remove("LD_LIBRARY_PATH").args([&prelude.std_library, &prelude.library]);
    command.args(libraries.iter().map(|library| &library.library)).arg(cell);
    let output = command.output().expect("the loader starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn compile(
    prelude: &Prelude,
    libraries: &[SessionLibrary],
    expression: &str,
    folder: &Path,
) -> PathBuf {
    let source = folder.join("cell.rs");
    let code = format!(
        "extern crate oxilab as _;\n#[unsafe(no_mangle)] pub extern \"C\" fn cell() {{ print!(\"{{}}\", {expression}); std::io::Write::flush(&mut std::io::stdout()).unwrap(); }}"
    );
    fs::write(&source, code).expect("written");
    let library = folder.join("libcell.so");
    let mut command = Command::new(&prelude.rustc);
    command
        .args(["--edition=2024", "--crate-type=cdylib", "--crate-name=cell", "-Cprefer-dynamic"])
        .args(&prelude.flags)
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("-Zunstable-options")
        .arg(format!("-Ldependency={}", prelude.dependencies.display()))
        .args(
            prelude
                .externs
                .iter()
                .map(|(name, file)| format!("--extern={name}={}", file.display())),
        );
    for (index, library) in libraries.iter().enumerate() {
        // The last one names those before it, which are found beside their crates.
        let force = if index + 1 == libraries.len() { "force:" } else { "" };
        command
            .arg(format!("-Ldependency={}", library.search.display()))
            .arg(format!("--extern={force}{}={}", library.crate_name, library.library.display()))
            .args(
                library
                    .externs
                    .iter()
                    .map(|(name, file)| format!("--extern={name}={}", file.display())),
            );
    }
    let output = command.arg("-o").arg(&library).arg(&source).output().expect("rustc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

fn loader(folder: &Path) -> PathBuf {
    let source = folder.join("loader.c");
    fs::write(&source, LOADER).expect("written");
    let program = folder.join("loader");
    let status = Command::new("cc").arg("-o").arg(&program).arg(&source).arg("-ldl").status();
    assert!(status.expect("cc").success());
    program
}
