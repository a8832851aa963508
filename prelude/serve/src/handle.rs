//! A server that runs: [`ServerHandle`].

use std::path::PathBuf;

use oxilab_display::Render;
use oxilab_runtime::MimeBundle;

use crate::error::Result;
use crate::state::{self, State};

/// A server that runs. Dropping it leaves the server running.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    pub(crate) state: State,
    pub(crate) folder: PathBuf,
}

impl ServerHandle {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.state.pid
    }

    /// Whether it answers.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        state::alive(&self.state)
    }

    /// Its log.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn logs(&self) -> Result<String> {
        state::logs_in(&self.folder, &self.state.name)
    }

    /// Stops it: it answers what it has begun, then ends.
    ///
    /// # Errors
    /// If it does not run, or not end within 20 seconds.
    pub fn stop(&self) -> Result<()> {
        state::stop_in(&self.folder, &self.state.name)
    }
}

impl Render for ServerHandle {
    fn render(&self) -> MimeBundle {
        let url = &self.state.url;
        let name = &self.state.name;
        let link = |path: &str| format!("<a href=\"{url}{path}\">{path}</a>");
        let links: Vec<String> =
            ["/docs", "/openapi.json", "/monitor", "/metrics"].map(link).to_vec();
        MimeBundle::text(format!("server {name} at {url}")).with_html(format!(
            "<div><b>{name}</b> serves at <a href=\"{url}\">{url}</a>: {}</div>",
            links.join(" · ")
        ))
    }
}
