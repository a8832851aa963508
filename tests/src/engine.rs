//! The installed engine behind a fake front end.

use std::sync::Arc;

use oxilab_kernel::server::handler::CellRunner;
use oxilab_kernel::session::{Config, Session};

use crate::frontend::{Executed, Frontend};

/// A kernel in this process that runs Rust, in a folder of its own, and a front end of it.
///
/// # Panics
/// When the folder cannot be made; a prelude that is not installed fails the first cell.
pub async fn start() -> Frontend {
    let folder = std::env::temp_dir().join(format!("oxilab-engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = Config { directory: folder, ..Config::default() };
    let session: Arc<dyn CellRunner> = Arc::new(Session::start(&config));
    Frontend::start(session).await
}

/// Runs a cell that must not fail.
///
/// # Panics
/// When it does.
pub async fn run(frontend: &mut Frontend, code: &str) -> Executed {
    let done = frontend.execute(code).await;
    assert_eq!(done.reply["status"], "ok", "{code}: {}", done.reply);
    done
}
