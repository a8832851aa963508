//! A server that a shell starts is listed as those of cells are: [`enlist`], [`strike`].

use std::path::Path;

use anyhow::Result;
use oxilab_serve::{State, place, secret};

use crate::args::Args;

/// Has the server tell where it is in the user's folder of servers, where no other one of its name does.
/// What its owner shows to stop it, which is nothing if it is not listed: that is no reason not to serve.
pub(crate) fn enlist(args: &mut Args) -> String {
    match listed(args) {
        Ok(token) => token,
        Err(why) => {
            tracing::info!("`oxilab serve list` will not show this server: {why:#}");
            String::new()
        }
    }
}

fn listed(args: &mut Args) -> Result<String> {
    let state = place(&args.server_name())?;
    let token = secret()?;
    (args.state, args.of_shell) = (Some(state), true);
    Ok(token)
}

/// Takes the file away that tells where this server was, unless it is another's by now.
pub(crate) fn strike(state: &Path) {
    if State::read(state).is_some_and(|state| state.pid == std::process::id()) {
        // It may be gone already; whoever looks for servers looks at the process as well.
        let _ = std::fs::remove_file(state);
    }
}
