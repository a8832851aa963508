//! `%dep`: crates that join the prelude's for the rest of the session.

use super::core::Core;
use crate::dep::Dependency;
use crate::magics::{MagicError, MagicResult};
use crate::server::handler::OutputSender;

/// Builds a library of the new crates on top of those that are there; on an error the session is as it
/// was.
///
/// # Errors
/// When cargo cannot resolve or build them.
pub(super) async fn add(
    core: &mut Core,
    new: Vec<Dependency>,
    output: &OutputSender,
) -> MagicResult<()> {
    let compiler = core.compiler.clone().map_err(MagicError::Failed)?;
    let kept =
        core.dependencies.iter().filter(|known| !new.iter().any(|n| n.name() == known.name()));
    let before: Vec<Dependency> = kept.cloned().collect();
    let library = crate::dep::build(
        compiler.prelude(),
        &core.state.dependencies,
        &before,
        &new,
        &core.cache,
        output,
    )
    .await
    .map_err(|error| MagicError::Failed(error.to_string()))?;
    core.state.dependencies.push(library);
    core.dependencies = before.into_iter().chain(new).collect();
    Ok(())
}
