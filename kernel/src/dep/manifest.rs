//! The project that cargo compiles for a session: its `Cargo.toml` and an empty crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::{DepError, Dependency};
use crate::install::{Package, Prelude};

/// The project's name.
pub(super) const NAME: &str = "oxilab-session";
/// Names of crates that stand in the manifest only to fix version and features.
pub(super) const PIN: &str = "oxilab-pin-";

/// Packages, by name and version, that stand in the manifest under a name of the user's.
pub(super) type Direct = BTreeMap<(String, String), String>;

/// A project in a folder of its own.
pub(super) struct Project {
    folder: PathBuf,
    profiles: String,
}

impl Project {
    /// Makes the project, with the lock of the prelude.
    pub(super) fn new(folder: PathBuf, prelude: &Prelude) -> Result<Self, DepError> {
        let root = prelude.source.join("Cargo.toml");
        if !root.is_file() {
            return Err(DepError::NoSource { folder: prelude.source.clone() });
        }
        let manifest = fs::read_to_string(&root).map_err(DepError::file("cannot read", &root))?;
        let source = folder.join("src");
        fs::create_dir_all(&source).map_err(DepError::file("cannot make", &source))?;
        let library = source.join("lib.rs");
        fs::write(&library, "").map_err(DepError::file("cannot write", &library))?;
        // With a build script cargo compiles what is pinned for build scripts.
        let script = folder.join("build.rs");
        fs::write(&script, "fn main() {}\n").map_err(DepError::file("cannot write", &script))?;
        let lock = folder.join("Cargo.lock");
        fs::copy(&prelude.lock, &lock).map_err(DepError::file("cannot write", &lock))?;
        Ok(Self { folder, profiles: profiles(&manifest) })
    }

    /// The manifest's path.
    pub(super) fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }

    /// Writes the manifest.
    pub(super) fn write(
        &self,
        dependencies: &[Dependency],
        pins: &BTreeSet<Package>,
        direct: &Direct,
    ) -> Result<(), DepError> {
        let path = self.manifest();
        let text = compose(dependencies, pins, direct, &self.profiles);
        fs::write(&path, text).map_err(DepError::file("cannot write", path))
    }
}

fn compose(
    dependencies: &[Dependency],
    pins: &BTreeSet<Package>,
    direct: &Direct,
    profiles: &str,
) -> String {
    let mut text = format!(
        "[package]\nname = \"{NAME}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [workspace]\n\n{profiles}\n[dependencies]\n"
    );
    // Cargo wants one name for a package, whether it is there for the crate or for its build script,
    // and whether the user names it or not.
    let named = |pin: &Package| direct.get(&(pin.name.clone(), pin.version.clone()));
    for dependency in dependencies {
        let pin = pins
            .iter()
            .find(|pin| !pin.for_host && named(pin).is_some_and(|name| name == dependency.name()));
        // Writing to a string does not fail.
        let _ = match pin {
            Some(pin) => writeln!(text, "{}", dependency.pinned(&pin.version, &pin.features)),
            None => writeln!(text, "{dependency}"),
        };
    }
    let packages: BTreeSet<(&str, &str)> =
        pins.iter().map(|pin| (pin.name.as_str(), pin.version.as_str())).collect();
    let lines = |for_host: bool| {
        let mut lines = String::new();
        for (index, package) in packages.iter().enumerate() {
            for pin in pins.iter().filter(|pin| pin.for_host == for_host && of(pin, *package)) {
                match named(pin) {
                    None => lines += &pinned(&format!("{PIN}{index}"), pin),
                    Some(name) if for_host => lines += &pinned(name, pin),
                    Some(_) => {}
                }
            }
        }
        lines
    };
    text + &lines(false) + "\n[build-dependencies]\n" + &lines(true)
}

fn of(pin: &Package, package: (&str, &str)) -> bool {
    (pin.name.as_str(), pin.version.as_str()) == package
}

fn pinned(name: &str, pin: &Package) -> String {
    let features: Vec<String> = pin.features.iter().map(|feature| format!("{feature:?}")).collect();
    format!(
        "{name} = {{ package = \"{}\", version = \"={}\", default-features = false, features = [{}] }}\n",
        pin.name,
        pin.version,
        features.join(", ")
    )
}

/// The `[profile.…]` tables of a manifest: crates are shared only if they are compiled alike. What is
/// said of the checkout's own programs is left out: none of them is in a session.
fn profiles(manifest: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[profile.");
        }
        let own = ["oxilab", "xtask"].iter().any(|own| line.starts_with(own));
        if inside && !own {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The names by which cells use the dependencies are the project's own; pins are not.
pub(super) fn is_pin(crate_name: &str) -> bool {
    crate_name.starts_with(&PIN.replace('-', "_"))
}

/// A stamp of the files of a crate in a folder: another stamp, another build.
pub(super) fn contents(folder: &Path) -> String {
    let mut stamps = Vec::new();
    collect(folder, &mut stamps);
    stamps.sort();
    stamps.join("\n")
}

fn collect(folder: &Path, stamps: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" {
                collect(&path, stamps);
            }
        } else if path.extension().is_some_and(|extension| extension != "lock") {
            let stamp = crate::install::Stamp::of(&path);
            stamps.push(format!("{} {stamp:?}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_dependencies_pins_and_profiles() {
        let dependencies =
            Dependency::parse("heck = \"0.5\"\nmine = { path = \"/m\" }", Path::new("/"))
                .expect("read");
        let pin = |name: &str, for_host| Package {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            features: vec!["std".to_owned()],
            for_host,
        };
        let pins = [pin("cc", true), pin("serde", true), pin("serde", false)].into();
        let root = "[workspace]\nx = 1\n[profile.release]\ndebug = false\n[profile.release.package.a]\nopt-level = 1\n[lints]\n";
        let text = compose(&dependencies, &pins, &Direct::new(), &profiles(root));
        let (normal, build) = text.split_once("[build-dependencies]").expect("both");
        assert!(normal.contains("heck = \"0.5\"\nmine = { path = \"/m\" }\n"), "{text}");
        let pinned = "{ package = \"serde\", version = \"=1.2.3\", default-features = false, features = [\"std\"] }";
        assert!(normal.contains(pinned) && build.contains(pinned), "{text}");
        // One name for both: cargo refuses two.
        let name = |part: &str| {
            part.lines()
                .find(|line| line.contains("\"serde\""))
                .and_then(|line| line.split(' ').next().map(str::to_owned))
        };
        assert_eq!(name(normal), name(build));
        assert!(build.contains("package = \"cc\""), "{text}");
        assert!(
            normal.contains("debug = false\n[profile.release.package.a]\nopt-level = 1\n"),
            "{text}"
        );
        assert!(!text.contains("[lints]") && !text.contains("x = 1"), "{text}");
        assert!(is_pin("oxilab_pin_3") && !is_pin("heck"));
    }

    #[test]
    fn what_the_user_names_is_pinned_under_that_name() {
        let line =
            "json = { package = \"serde_json\", version = \"1\", features = [\"raw_value\"] }";
        let dependencies =
            Dependency::parse(&format!("serde = \"1\"\n{line}"), Path::new("/")).expect("read");
        let pin = |name: &str, for_host| Package {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            features: vec!["std".to_owned()],
            for_host,
        };
        let pins = [pin("serde", true), pin("serde", false), pin("serde_json", false)].into();
        let named = |name: &str| (name.to_owned(), "1.2.3".to_owned());
        let direct =
            [(named("serde"), "serde".to_owned()), (named("serde_json"), "json".to_owned())];
        let text = compose(&dependencies, &pins, &direct.into(), "");
        let (normal, build) = text.split_once("[build-dependencies]").expect("both");
        assert!(!text.contains(PIN), "{text}");
        assert!(
            normal.contains("serde = { version = \"=1.2.3\", features = [\"std\"] }"),
            "{text}"
        );
        assert!(normal.contains("features = [\"raw_value\", \"std\"]"), "{text}");
        assert!(build.contains("serde = { package = \"serde\""), "{text}");
    }

    #[test]
    fn a_changed_file_changes_the_contents() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("src")).expect("made");
        fs::create_dir(folder.path().join("target")).expect("made");
        fs::write(folder.path().join("src/lib.rs"), "1").expect("written");
        let before = contents(folder.path());
        fs::write(folder.path().join("target/x.rs"), "1").expect("written");
        assert_eq!(contents(folder.path()), before);
        fs::write(folder.path().join("src/lib.rs"), "12").expect("written");
        assert_ne!(contents(folder.path()), before);
    }
}
