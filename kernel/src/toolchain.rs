//! Finds the Rust toolchain: the real compiler behind rustup's proxy, its library folder, rustfmt.
//!
//! [`Toolchain::find`] looks in `PATH` first and then where rustup installs, because a Jupyter started
//! from a desktop often lacks `~/.cargo/bin`. [`Toolchain::of_rustc`] describes a known compiler.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A Rust toolchain that is present on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler itself, not rustup's proxy.
    pub rustc: PathBuf,
    /// `rustc -vV`, in full.
    pub version: String,
    /// The host triple, from the version.
    pub host: String,
    /// Root of the installation.
    pub sysroot: PathBuf,
    /// Folder of the target libraries (`lib/rustlib/<host>/lib`).
    pub libraries: PathBuf,
    /// `libstd-*.so` in that folder.
    pub std_library: PathBuf,
    /// Cargo, from the same installation or else from `PATH`.
    pub cargo: Option<PathBuf>,
    /// rustfmt, from the same installation or else from `PATH`.
    pub rustfmt: Option<PathBuf>,
}

/// Why there is no usable toolchain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// No compiler anywhere.
    #[error(
        "rustc was not found in PATH or in {}: install Rust from https://rustup.rs, then run `oxilab install`",
        folder.display()
    )]
    NotFound {
        /// Where rustup would have put it.
        folder: PathBuf,
    },
    /// It would not start.
    #[error("{} could not be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It failed.
    #[error("`{} {arguments}` failed: {message}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: String,
        /// What it wrote to its standard error.
        message: String,
    },
    /// The shared standard library is missing.
    #[error(
        "{} has no libstd-*.so: cells link Rust's standard library dynamically; \
         reinstall the toolchain with `rustup toolchain install stable`",
        folder.display()
    )]
    NoStdLibrary {
        /// Where it should be.
        folder: PathBuf,
    },
}

impl Toolchain {
    /// The toolchain that `cargo` and `rustc` use in the current directory.
    ///
    /// # Errors
    /// When there is no compiler, it does not run, or its shared standard library is missing.
    pub fn find() -> Result<Self, ToolchainError> {
        Self::find_for(Path::new("."))
    }

    /// The toolchain that `cargo` and `rustc` use in `folder`, whose `rust-toolchain.toml` counts.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_for(folder: &Path) -> Result<Self, ToolchainError> {
        let program = find_program("rustc")
            .ok_or_else(|| ToolchainError::NotFound { folder: cargo_home().join("bin") })?;
        let sysroot = PathBuf::from(run(&program, &["--print", "sysroot"], folder)?.trim());
        let real = sysroot.join("bin").join("rustc");
        Self::of_rustc(if real.is_file() { real } else { program })
    }

    /// The toolchain that `rustc` (not a proxy) belongs to.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn of_rustc(rustc: PathBuf) -> Result<Self, ToolchainError> {
        let here = Path::new(".");
        let version = version_of(&rustc)?;
        let host = host_of(&version).unwrap_or_default().to_owned();
        let sysroot = PathBuf::from(run(&rustc, &["--print", "sysroot"], here)?.trim());
        let libraries = sysroot.join("lib").join("rustlib").join(&host).join("lib");
        let std_library = shared_std(&libraries)
            .ok_or_else(|| ToolchainError::NoStdLibrary { folder: libraries.clone() })?;
        let beside = |name: &str| {
            let path = sysroot.join("bin").join(name);
            if path.is_file() { Some(path) } else { find_program(name) }
        };
        Ok(Self {
            version,
            host,
            libraries,
            std_library,
            cargo: beside("cargo"),
            rustfmt: beside("rustfmt"),
            rustc,
            sysroot,
        })
    }

    /// The first line of the version: `rustc 1.95.0 (59807616e 2026-04-14)`.
    #[must_use]
    pub fn short_version(&self) -> &str {
        self.version.lines().next().unwrap_or_default()
    }

    /// What the compiler answers to `--print cfg` under `flags`: the CPU's features are in it.
    ///
    /// # Errors
    /// When the compiler does not run.
    pub fn cfg(&self, flags: &[String]) -> Result<String, ToolchainError> {
        let mut arguments: Vec<&str> = flags.iter().map(String::as_str).collect();
        arguments.extend(["--print", "cfg"]);
        run(&self.rustc, &arguments, Path::new("."))
    }

    /// The crates that a compiled library holds or takes macros from, each with cargo's hash:
    /// `serde-0206d5ece13dd14e`.
    ///
    /// # Errors
    /// When the compiler does not run or the file is no Rust library.
    pub fn crates_of(&self, library: &Path) -> Result<BTreeSet<String>, ToolchainError> {
        let mut command = Command::new(&self.rustc);
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC_ICE", "0").arg("-Zls=root").arg(library);
        let listing = output_of(&mut command, &self.rustc, "-Zls=root")?;
        let listed =
            listing.lines().filter(|line| line.contains(" hash ") && line.contains(" kind "));
        Ok(listed.filter_map(|line| Some(line.split_whitespace().nth(1)?.to_owned())).collect())
    }
}

/// `rustc -vV` of a compiler.
///
/// # Errors
/// When it does not run.
pub fn version_of(rustc: &Path) -> Result<String, ToolchainError> {
    Ok(run(rustc, &["-vV"], Path::new("."))?.trim_end().to_owned())
}

/// A program by name: in `PATH`, else in the folder where rustup puts its proxies.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(name, &path).or_else(|| {
        let candidate = cargo_home().join("bin").join(name);
        candidate.is_file().then_some(candidate)
    })
}

fn find_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| dirs::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_else(|| PathBuf::from(".cargo"))
}

fn host_of(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::trim)
}

fn shared_std(libraries: &Path) -> Option<PathBuf> {
    let suffix = format!(".{}", env::consts::DLL_EXTENSION);
    let mut found: Vec<PathBuf> = fs::read_dir(libraries)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.starts_with("libstd-") && name.ends_with(&suffix)
        })
        .collect();
    found.sort();
    found.pop()
}

fn run(program: &Path, arguments: &[&str], folder: &Path) -> Result<String, ToolchainError> {
    let mut command = Command::new(program);
    output_of(command.args(arguments).current_dir(folder), program, &arguments.join(" "))
}

fn output_of(
    command: &mut Command,
    program: &Path,
    arguments: &str,
) -> Result<String, ToolchainError> {
    let start = |source| ToolchainError::Start { program: program.to_owned(), source };
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().map_err(start)?;
    if !status.success() {
        return Err(ToolchainError::Failed {
            program: program.to_owned(),
            arguments: arguments.to_owned(),
            message: String::from_utf8_lossy(&stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_compiler_is_found_with_its_library() {
        let toolchain = Toolchain::find().expect("a toolchain");
        assert!(toolchain.rustc.starts_with(&toolchain.sysroot), "{toolchain:?}");
        assert!(toolchain.short_version().starts_with("rustc 1."));
        assert!(toolchain.version.contains(&toolchain.host));
        assert!(toolchain.std_library.is_file());
    }

    #[test]
    fn cfg_knows_the_features_of_this_cpu() {
        let toolchain = Toolchain::find().expect("a toolchain");
        let plain = toolchain.cfg(&[]).expect("cfg");
        let native = toolchain.cfg(&["-Ctarget-cpu=native".to_owned()]).expect("cfg");
        assert!(plain.contains("target_arch"));
        assert!(native.len() >= plain.len());
    }

    #[test]
    fn the_crates_of_a_library_are_listed() {
        let toolchain = Toolchain::find().expect("a toolchain");
        let folder = tempfile::tempdir().expect("folder");
        let source = folder.path().join("a.rs");
        fs::write(&source, "pub fn f() {}").expect("written");
        let kind = ["--crate-type", "dylib", "-C", "prefer-dynamic", "--out-dir"];
        let mut command = Command::new(&toolchain.rustc);
        let compiled = command.args(kind).arg(folder.path()).arg(&source).status();
        assert!(compiled.expect("rustc").success());
        let crates = toolchain.crates_of(&folder.path().join("liba.so")).expect("listed");
        assert!(crates.iter().any(|name| name.starts_with("core-")), "{crates:?}");
    }

    #[test]
    fn a_missing_compiler_is_named() {
        let error = Toolchain::of_rustc(PathBuf::from("/nowhere/rustc")).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/rustc"), "{error}");
    }

    #[test]
    fn a_program_that_cannot_run_is_not_a_program() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("tool"), "text").expect("written");
        assert_eq!(find_in("tool", folder.path().as_os_str()), None);
    }
}
