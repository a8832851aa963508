//! The JupyterLab extension: built files of the checkout, copied to where Jupyter looks for them.

use std::fs;
use std::path::{Path, PathBuf};

use super::store::{make, remove, write};
use super::{InstallError, Place};

/// Name of the extension's folder, by which JupyterLab knows it.
const EXTENSION: &str = "oxilab-lab";
/// The built extension in a checkout.
const BUILT: &str = "extensions/jupyterlab/oxilab_lab/labextension";
/// What JupyterLab shows of where an extension comes from.
const ORIGIN: &str = r#"{
  "packageManager": "oxilab",
  "packageName": "oxilab-lab",
  "uninstallInstructions": "Run `oxilab uninstall` with the options of the installation."
}
"#;

/// Copies the extension beside the kernelspecs of `place`; returns its folder.
pub(super) fn install(place: &Place, source: &Path) -> Result<PathBuf, InstallError> {
    let built = source.join(BUILT);
    if !built.join("package.json").is_file() {
        return Err(InstallError::Kernelspec(format!(
            "the JupyterLab extension is missing in {}: build it with \
             `npm ci && npm run build` in extensions/jupyterlab",
            built.display()
        )));
    }
    let folder = folder(place)?;
    let aside = folder.with_file_name(format!(".{EXTENSION}.{}", std::process::id()));
    remove(&aside)?;
    copy(&built, &aside)?;
    write(&aside.join("install.json"), ORIGIN.as_bytes())?;
    remove(&folder)?;
    fs::rename(&aside, &folder).map_err(InstallError::file("cannot rename to", &folder))?;
    Ok(folder)
}

/// Removes the extension; says whether there was one.
pub(super) fn uninstall(place: &Place) -> Result<Option<PathBuf>, InstallError> {
    let folder = folder(place)?;
    Ok(remove(&folder)?.then_some(folder))
}

fn folder(place: &Place) -> Result<PathBuf, InstallError> {
    Ok(place.jupyter()?.join("labextensions").join(EXTENSION))
}

fn copy(from: &Path, to: &Path) -> Result<(), InstallError> {
    make(to)?;
    let entries = fs::read_dir(from).map_err(InstallError::file("cannot read", from))?;
    for entry in entries {
        let entry = entry.map_err(InstallError::file("cannot read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(InstallError::file("cannot copy", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_copied_replaced_and_removed() {
        let prefix = tempfile::tempdir().expect("folder");
        let place = Place::Prefix(prefix.path().to_owned());
        let source = super::super::compiled_from();
        let folder = install(&place, source).expect("installed");
        assert!(folder.ends_with("share/jupyter/labextensions/oxilab-lab"));
        let text = fs::read(folder.join("package.json")).expect("package.json");
        let package: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let entry = package["jupyterlab"]["_build"]["load"].as_str().expect("built");
        assert!(folder.join(entry).is_file(), "{entry}");
        fs::write(folder.join("left.js"), "").expect("written");
        install(&place, source).expect("installed again");
        assert!(!folder.join("left.js").exists() && folder.join("install.json").is_file());
        assert_eq!(uninstall(&place).expect("removed"), Some(folder));
        assert_eq!(uninstall(&place).expect("nothing left"), None);
    }

    #[test]
    fn a_checkout_without_it_says_how_to_build_it() {
        let empty = tempfile::tempdir().expect("folder");
        let error = install(&Place::Prefix(empty.path().to_owned()), empty.path());
        assert!(error.expect_err("missing").to_string().contains("npm run build"));
    }
}
