//! A checkout in small: the packages that an installation builds, with next to nothing in them.

use std::fs;
use std::path::{Path, PathBuf};

use oxilab_kernel::install::{InstallOptions, Place, Prelude, install};

/// A folder with a checkout in `source`.
pub(super) struct Checkout {
    folder: tempfile::TempDir,
}

const WORKSPACE: &str = r#"[workspace]
resolver = "3"
members = ["kernel", "worker", "prelude", "prelude/dylib", "server"]
[profile.release]
debug = false
"#;

const CONFIG: &str = r#"[build]
rustflags = ["-C", "target-cpu=native"]
[net]
offline = true
"#;

const PRELUDE: &str = r#"
pub use serde;
#[derive(serde::Serialize)]
pub struct Point { pub x: u8 }
pub fn greeting(value: &impl serde::Serialize) -> String {
    format!("hello {}", serde_json::to_string(value).unwrap_or_default())
}
"#;

impl Checkout {
    pub(super) fn new() -> Self {
        let checkout = Self { folder: tempfile::tempdir().expect("folder") };
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        checkout.write("source/Cargo.toml", WORKSPACE);
        checkout.write("source/.cargo/config.toml", CONFIG);
        let lock = fs::read_to_string(workspace.join("Cargo.lock")).expect("this workspace's lock");
        checkout.write("source/Cargo.lock", &lock);
        let build = fs::read_to_string(workspace.join("kernel/build.rs")).expect("build script");
        checkout.write("source/kernel/build.rs", &build);
        let bin = "[[bin]]\nname = \"oxilab\"\npath = \"src/main.rs\"\n";
        checkout.package("kernel", "oxilab-kernel", bin, "main.rs", "fn main() {}");
        checkout.package("worker", "oxilab-worker", "", "main.rs", "fn main() {}");
        checkout.package("server", "oxilab-server", "", "main.rs", "fn main() {}");
        let crates = "[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n";
        checkout.package("prelude", "oxilab", crates, "lib.rs", PRELUDE);
        let library =
            "[lib]\ncrate-type = [\"dylib\"]\n[dependencies]\noxilab = { path = \"..\" }\n";
        checkout.package("prelude/dylib", "oxilab-dylib", library, "lib.rs", "pub use oxilab::*;");
        checkout
    }

    /// Installs it.
    pub(super) fn install(&self, report: &mut dyn FnMut(&str)) -> Prelude {
        let options = InstallOptions::new(Place::Prefix(self.folder().join("prefix")))
            .with_source(Some(self.folder().join("source")))
            .with_data_dir(self.data_dir())
            .with_target_directory(self.folder().join("target"));
        install(&options, report).expect("installed").prelude
    }

    /// The root of everything.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes a crate that `%dep` can name by its path.
    pub(super) fn write_crate(&self, name: &str, dependencies: &str, code: &str) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n[workspace]\n"
        );
        self.write(&format!("{name}/Cargo.toml"), &manifest);
        self.write(&format!("{name}/src/lib.rs"), code);
    }

    fn package(&self, folder: &str, name: &str, rest: &str, file: &str, code: &str) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}"
        );
        self.write(&format!("source/{folder}/Cargo.toml"), &manifest);
        self.write(&format!("source/{folder}/src/{file}"), code);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
}
