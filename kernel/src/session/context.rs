//! The session as magics see it.

use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::{Query, Request, VariableInfo};

use super::core::{Core, Run};
use super::errors;
use crate::dep::Dependency;
use crate::diagnostics::paths::shorten;
use crate::magics::{MagicContext, MagicError, MagicResult, RustCode, Surroundings, Timings};
use crate::server::handler::{ExecuteCell, OutputSender};

/// What a magic of one cell works with.
pub(crate) struct Context<'a> {
    pub(super) core: &'a mut Core,
    pub(super) cell: &'a ExecuteCell,
    pub(super) output: &'a OutputSender,
}

impl MagicContext for Context<'_> {
    fn output(&self) -> OutputSender {
        self.output.clone()
    }

    fn surroundings(&self) -> &Surroundings {
        &self.core.surroundings
    }

    fn variables(&mut self) -> BoxFuture<'_, MagicResult<Vec<VariableInfo>>> {
        async move {
            let link = self.core.link().map_err(MagicError::Failed)?;
            let answer = link.ask(Query::Variables).await.map_err(MagicError::Failed)?;
            let mut variables: Vec<VariableInfo> = serde_json::from_value(answer)
                .map_err(|error| MagicError::Failed(error.to_string()))?;
            for variable in &mut variables {
                variable.type_name = shorten(&variable.type_name);
            }
            Ok(variables)
        }
        .boxed()
    }

    fn run(&mut self, code: RustCode) -> BoxFuture<'_, MagicResult<Timings>> {
        async move {
            let output = code.capture.map_or_else(|| self.output.clone(), |capture| capture.0);
            let run = Run {
                text: &code.text,
                opt_level: code.opt_level,
                show: !self.cell.silent,
                cell: self.cell,
            };
            let ran = self.core.run(&run, &output).await;
            // A capture ends when its senders are gone; the worker must not keep one, also not of code
            // that failed.
            if let Ok(link) = self.core.link() {
                link.direct(self.output.clone());
            }
            ran.map_err(|error| {
                MagicError::Cell(match code.stands_for {
                    Some(line) => errors::of_magic(error, self.cell.count, &self.cell.code, line),
                    None => error,
                })
            })
        }
        .boxed()
    }

    fn reset(&mut self) -> BoxFuture<'_, MagicResult<()>> {
        async move { self.core.reset().map_err(MagicError::Failed) }.boxed()
    }

    fn optimisation(&self) -> Option<u8> {
        self.core.state.opt_level
    }

    fn set_optimisation(&mut self, level: Option<u8>) {
        self.core.state.opt_level = level;
    }

    fn timing(&self) -> bool {
        self.core.timing
    }

    fn set_timing(&mut self, on: bool) {
        self.core.timing = on;
    }

    fn dependencies(&self) -> Vec<Dependency> {
        self.core.dependencies.clone()
    }

    fn add_dependencies(
        &mut self,
        dependencies: Vec<Dependency>,
    ) -> BoxFuture<'_, MagicResult<()>> {
        async move { super::dependencies::add(self.core, dependencies, self.output).await }.boxed()
    }

    fn set_env(&mut self, name: String, value: Option<String>) -> BoxFuture<'_, MagicResult<()>> {
        async move {
            let link = self.core.link().map_err(MagicError::Failed)?;
            let sent = (name.clone(), value.clone());
            link.request(|id| Request::SetEnv { id, name: sent.0, value: sent.1 })
                .await
                .map_err(MagicError::Failed)?;
            self.core.surroundings.environment.insert(name, value);
            Ok(())
        }
        .boxed()
    }

    fn set_directory(&mut self, path: PathBuf) -> BoxFuture<'_, MagicResult<()>> {
        async move {
            let link = self.core.link().map_err(MagicError::Failed)?;
            let sent = path.clone();
            link.request(|id| Request::SetDirectory { id, path: sent })
                .await
                .map_err(MagicError::Failed)?;
            self.core.surroundings.directory = path;
            Ok(())
        }
        .boxed()
    }

    fn interrupted(&self) -> BoxFuture<'static, ()> {
        let interrupts = self.core.interrupts.clone();
        async move { interrupts.pressed().await }.boxed()
    }

    fn forget_interrupt(&mut self) {
        self.core.interrupts.reset();
    }

    fn cell_id(&self) -> String {
        self.cell.cell_id.clone().unwrap_or_default()
    }

    fn about(&self) -> Vec<(String, String)> {
        let mut about = vec![("oxilab".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        if let Ok(compiler) = &self.core.compiler {
            let prelude = compiler.prelude();
            let rustc = prelude.rustc_version.lines().next().unwrap_or_default();
            about.push(("rustc".to_owned(), rustc.to_owned()));
            about.push(("prelude".to_owned(), prelude.build_id.clone()));
            about.push(("cache".to_owned(), compiler.cache().folder().display().to_string()));
        }
        about
    }
}
