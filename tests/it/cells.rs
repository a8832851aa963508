//! The literate specs in `cells/`, through the installed engine.
//!
//! `OXILAB_BLESS=1` writes what the cells show instead of comparing; `OXILAB_SPEC=name` takes only the
//! specs whose file name contains `name`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxilab_kernel::cli::engine::{self, Engine};
use oxilab_kernel::server::handler::CellRunner;
use oxilab_kernel::session::Config;
use oxilab_tests::literate::Spec;

async fn start() -> anyhow::Result<Arc<dyn CellRunner>> {
    // Files that a spec writes go with the test.
    let folder = std::env::temp_dir().join(format!("oxilab-cells-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let config = Config { directory: folder, ..Config::default() };
    let started = tokio::task::spawn_blocking(move || engine::start_with(Engine::Oxilab, &config));
    started.await?.map_err(|error| anyhow::anyhow!("{}: {}", error.ename, error.evalue))
}

fn specs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cells");
    let only = std::env::var("OXILAB_SPEC").unwrap_or_default();
    let entries = std::fs::read_dir(folder).expect("there are specs");
    let mut specs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| path.to_string_lossy().contains(&only))
        .collect();
    specs.sort();
    specs
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_show_what_the_specs_say() {
    let bless = std::env::var_os("OXILAB_BLESS").is_some();
    let mut differences = Vec::new();
    for path in specs() {
        let spec = Spec::read(&path).expect("is a spec");
        if bless {
            spec.bless(start).await.expect("is blessed");
        } else {
            differences.extend(spec.check(start).await.expect("runs"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
