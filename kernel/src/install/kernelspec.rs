//! The Jupyter kernelspec: folder `oxilab` with `kernel.json` and logos.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::InstallError;
use super::store::{make, remove, write};

/// Name of the kernelspec's folder, by which Jupyter knows the kernel.
pub const NAME: &str = "oxilab";
/// Name that people see.
pub const DISPLAY_NAME: &str = "Rust (oxilab)";
/// Version of the messaging protocol that the kernel speaks.
const PROTOCOL_VERSION: &str = "5.5";

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../../assets/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../assets/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../assets/logo-svg.svg")),
];

/// Where Jupyter is to find the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The user's Jupyter folder.
    #[default]
    User,
    /// The Python environment that is active.
    SysPrefix,
    /// A prefix: the kernelspec goes to `share/jupyter/kernels` below it.
    Prefix(PathBuf),
}

impl Place {
    /// The folder of the kernelspec.
    ///
    /// # Errors
    /// When there is no active Python environment to ask for, or no home folder.
    pub fn folder(&self) -> Result<PathBuf, InstallError> {
        Ok(self.jupyter()?.join("kernels").join(NAME))
    }

    /// Jupyter's data folder.
    pub(super) fn jupyter(&self) -> Result<PathBuf, InstallError> {
        Ok(match self {
            Self::User => user_folder()?,
            Self::SysPrefix => below(&sys_prefix()?),
            Self::Prefix(prefix) => below(prefix),
        })
    }
}

/// Writes the kernelspec for the kernel binary `program`; returns its folder.
pub(super) fn write_spec(place: &Place, program: &Path) -> Result<PathBuf, InstallError> {
    let folder = place.folder()?;
    make(&folder)?;
    for (name, bytes) in LOGOS {
        write(&folder.join(name), bytes)?;
    }
    let data_dir = env::var_os("OXILAB_DATA_DIR");
    let text = format!("{:#}\n", spec(program, data_dir));
    write(&folder.join("kernel.json"), text.as_bytes())?;
    Ok(folder)
}

/// Removes the kernelspec; says whether there was one.
pub(super) fn remove_spec(place: &Place) -> Result<Option<PathBuf>, InstallError> {
    let folder = place.folder()?;
    Ok(remove(&folder)?.then_some(folder))
}

/// All kernelspecs of this kernel that Jupyter would find, with the program each starts.
pub(crate) fn installed() -> Vec<(PathBuf, PathBuf)> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(path) = env::var_os("JUPYTER_PATH") {
        folders.extend(env::split_paths(&path).map(|folder| folder.join("kernels").join(NAME)));
    }
    folders.extend(Place::User.folder());
    let prefixes = active_environment().into_iter();
    let prefixes = prefixes.chain(["/usr/local", "/usr"].map(PathBuf::from));
    folders.extend(prefixes.map(|prefix| below(&prefix).join("kernels").join(NAME)));
    folders
        .into_iter()
        .filter_map(|folder| {
            let text = std::fs::read(folder.join("kernel.json")).ok()?;
            let spec: Value = serde_json::from_slice(&text).ok()?;
            let program = spec.get("argv")?.get(0)?.as_str()?.to_owned();
            Some((folder, PathBuf::from(program)))
        })
        .collect()
}

fn spec(program: &Path, data_dir: Option<OsString>) -> Value {
    let mut spec = json!({
        "argv": [program, "kernel", "--connection-file", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "rust",
        "interrupt_mode": "message",
        "kernel_protocol_version": PROTOCOL_VERSION,
        "metadata": {},
    });
    if let Some(folder) = data_dir {
        spec["env"] = json!({ "OXILAB_DATA_DIR": folder.to_string_lossy() });
    }
    spec
}

fn below(prefix: &Path) -> PathBuf {
    prefix.join("share").join("jupyter")
}

/// As `jupyter --data-dir` says.
fn user_folder() -> Result<PathBuf, InstallError> {
    if let Some(folder) = env::var_os("JUPYTER_DATA_DIR") {
        return Ok(PathBuf::from(folder));
    }
    let folder = if cfg!(target_os = "macos") {
        dirs::home_dir().map(|home| home.join("Library").join("Jupyter"))
    } else {
        dirs::data_dir().map(|data| data.join("jupyter"))
    };
    folder.ok_or_else(|| {
        InstallError::Kernelspec(
            "there is no home folder to put the kernelspec in: use `oxilab install --prefix FOLDER`"
                .to_owned(),
        )
    })
}

fn active_environment() -> Option<PathBuf> {
    ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .iter()
        .find_map(env::var_os)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `sys.prefix` of the Python environment that is active.
fn sys_prefix() -> Result<PathBuf, InstallError> {
    if let Some(prefix) = active_environment() {
        return Ok(prefix);
    }
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.prefix)"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let answer = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    answer.filter(|prefix| !prefix.is_empty()).map(PathBuf::from).ok_or_else(|| {
        InstallError::Kernelspec(
            "no Python environment is active and python3 does not run: activate one, \
             or use `oxilab install --prefix FOLDER`"
                .to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernelspec_starts_the_kernel_and_can_be_removed() {
        let prefix = tempfile::tempdir().expect("folder");
        let place = Place::Prefix(prefix.path().to_owned());
        let folder = write_spec(&place, Path::new("/data/bin/oxilab")).expect("written");
        assert!(folder.ends_with("share/jupyter/kernels/oxilab"));
        let text = std::fs::read(folder.join("kernel.json")).expect("kernel.json");
        let spec: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            spec["argv"],
            json!(["/data/bin/oxilab", "kernel", "--connection-file", "{connection_file}"])
        );
        assert_eq!(spec["display_name"], "Rust (oxilab)");
        assert_eq!(spec["interrupt_mode"], "message");
        for (name, _) in LOGOS {
            assert!(folder.join(name).is_file(), "{name}");
        }
        assert_eq!(remove_spec(&place).expect("removed"), Some(folder));
        assert_eq!(remove_spec(&place).expect("nothing left"), None);
    }

    #[test]
    fn a_data_folder_of_ones_own_is_given_to_the_kernel() {
        let spec = spec(Path::new("/o"), Some("/my data".into()));
        assert_eq!(spec["env"]["OXILAB_DATA_DIR"], "/my data");
    }

    #[test]
    fn logos_are_pictures_of_their_size() {
        for (index, size) in [(0, 32_u32), (1, 64)] {
            let (name, bytes) = LOGOS[index];
            assert_eq!(&bytes[1..4], b"PNG", "{name}");
            assert_eq!(&bytes[16..20], size.to_be_bytes(), "{name}");
        }
    }
}
