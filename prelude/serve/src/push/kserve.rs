//! A folder that Kubernetes with `KServe` can run a model from: [`kserve`].

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Parcel, yaml};
use crate::error::{Result, ServeError};
use crate::locate::{address, default_name};
use crate::program;
use crate::reference::reference_path;

/// The container file. LightGBM needs OpenMP's library.
const CONTAINER: &str = "\
# Build in this folder:  podman build -t IMAGE .
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY oxilab-server /usr/local/bin/oxilab-server
COPY model /models
USER 65532:65532
EXPOSE 8080
ENTRYPOINT [\"oxilab-server\"]
";

/// Writes `Containerfile`, `inferenceservice.yaml`, the model and the server program into a folder, and
/// gives the files' paths. `image` is what the built image is called, `REGISTRY/NAME:TAG`; the service
/// asks for the API key in the Kubernetes secret `NAME-oxilab`, key `api-key`.
///
/// With `dry_run` nothing is written.
///
/// # Errors
/// If the model cannot be found or loaded, or a file cannot be written.
pub fn kserve(
    model: &str,
    folder: impl AsRef<Path>,
    image: &str,
    dry_run: bool,
) -> Result<Vec<PathBuf>> {
    let folder = folder.as_ref();
    let uri = address(model);
    let name = default_name(&uri);
    let parcel = Parcel::read(&uri, name)?;
    let file = folder.join("model").join(format!("{}.oxm", parcel.name));
    let program = program::find_program("kserve")?;
    let (manifest, container, server) = (
        folder.join("inferenceservice.yaml"),
        folder.join("Containerfile"),
        folder.join("oxilab-server"),
    );
    let mut paths = vec![manifest.clone(), container.clone(), server.clone(), file.clone()];
    if parcel.rows.is_some() {
        paths.push(reference_path(&file));
    }
    if dry_run {
        return Ok(paths);
    }
    fs::create_dir_all(folder.join("model")).map_err(ServeError::io("writing", folder))?;
    let (model, reference) = parcel.bytes.split_at(parcel.model_bytes);
    write(&file, model)?;
    if parcel.rows.is_some() {
        write(&reference_path(&file), reference)?;
    }
    write(&container, CONTAINER.as_bytes())?;
    write(&manifest, yaml::text(&service(&parcel, image)).as_bytes())?;
    fs::copy(&program, &server).map_err(ServeError::io("writing", &server))?;
    Ok(paths)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    fs::write(&aside, bytes).map_err(ServeError::io("writing", path))?;
    fs::rename(&aside, path).map_err(ServeError::io("writing", path))
}

fn service(parcel: &Parcel, image: &str) -> Value {
    let name = kubernetes_name(&parcel.name);
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 8080}, "periodSeconds": 5});
    json!({
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "oxilab"},
            "annotations": {
                "oxilab/model-version": parcel.version,
                "oxilab/model-sha256": parcel.sha256,
            },
        },
        "spec": {"predictor": {"containers": [{
            "name": "kserve-container",
            "image": image,
            "args": [
                "--model", format!("{}=/models/{}.oxm", parcel.name, parcel.name),
                "--host", "0.0.0.0", "--port", "8080", "--log-json",
            ],
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "env": [{"name": "OXILAB_API_KEY", "valueFrom": {
                "secretKeyRef": {"name": format!("{name}-oxilab"), "key": "api-key"},
            }}],
            "readinessProbe": probe("/v2/health/ready"),
            "livenessProbe": probe("/v2/health/live"),
            "resources": {
                "requests": {"cpu": "500m", "memory": "256Mi"},
                "limits": {"memory": "1Gi"},
            },
        }]}},
    })
}

/// A name as Kubernetes takes it: small letters, digits and dashes.
fn kubernetes_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(fits).take(63).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("m-{name}")
    }
}
