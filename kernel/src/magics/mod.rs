//! Magics: lines of a cell that are orders to the kernel.
//!
//! [`split`] cuts a cell into magics and Rust; [`run`] carries one out. A magic is a file with a
//! [`Magic`] implementation and a line in [`REGISTRY`], the only list; help is made from it. Magics see
//! the session through the narrow [`MagicContext`].

mod capture;
mod context;
mod dep;
mod directory;
mod env;
mod error;
mod evcxr;
mod fmt;
mod help;
mod known;
mod opt;
mod process;
mod reset;
mod run_file;
mod scanner;
mod serve;
mod shell;
mod show;
mod split;
mod sql;
#[cfg(test)]
mod testing;
mod time;
mod timeit;
mod timing;
mod track;
mod version;
mod who;
mod writefile;

use futures::future::BoxFuture;
use serde_json::Value;

pub use context::{Capture, MagicContext, MagicResult, RustCode, Surroundings, Timings};
pub use error::MagicError;
pub(crate) use fmt::format_cell;
pub use split::{Invocation, Segment, split};

/// All magics, in the order of `%help`.
pub static REGISTRY: &[&dyn Magic] = &[
    &help::Help,
    &help::List,
    &who::Who,
    &reset::Reset,
    &time::Time,
    &timeit::TimeIt,
    &timing::Timing,
    &opt::Opt,
    &dep::Dep,
    &env::Env,
    &directory::Cd,
    &directory::Pwd,
    &shell::Command,
    &shell::Script,
    &show::Html,
    &show::Markdown,
    &show::Latex,
    &show::Svg,
    &writefile::WriteFile,
    &capture::Capture,
    &fmt::Fmt,
    &run_file::Run,
    &sql::Sql,
    &serve::SERVE,
    &serve::MONITOR,
    &serve::PUSH,
    &serve::RETRAIN,
    &serve::ROLLBACK,
    &track::EXPERIMENT,
    &track::LOG,
    &track::AUTOLOG,
    &track::RUNS,
    &track::BEST,
    &track::COMPARE,
    &track::ARTIFACTS,
    &track::REGISTER,
    &track::MODELS,
    &track::PROMOTE,
    &track::LOAD,
    &track::LINEAGE,
    &track::TRACK,
    &version::Version,
    &evcxr::Setting,
];

/// An order to the kernel.
pub trait Magic: Sync {
    /// Its names, without marks, the usual one first.
    fn names(&self) -> &'static [&'static str];

    /// What it does, in one line.
    fn summary(&self) -> &'static str;

    /// How it is written: one form a line.
    fn usage(&self) -> &'static str;

    /// Whether it has a form that takes the rest of the cell.
    fn takes_body(&self) -> bool {
        false
    }

    /// Carries it out.
    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>>;
}

/// What a magic leaves for the reply to the cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Jupyter's payloads.
    pub payload: Vec<Value>,
}

/// Carries a magic out.
///
/// # Errors
/// When there is no such magic, it is called wrongly, or it fails.
pub async fn run(call: &Invocation, context: &mut dyn MagicContext) -> MagicResult<Done> {
    let Some(magic) = find(&call.name) else {
        return Err(MagicError::Unknown {
            spelling: call.spelling.clone(),
            nearest: nearest(call),
        });
    };
    if call.body.is_some() && !magic.takes_body() {
        return Err(usage(
            magic,
            format!("`{}` does not take the rest of the cell", call.spelling),
        ));
    }
    magic.run(call, context).await
}

/// The magic of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Magic> {
    REGISTRY.iter().find(|magic| magic.names().contains(&name)).copied()
}

/// All names with their usual marks, for completion: `%who`, `%%bash`.
#[must_use]
pub fn spellings() -> Vec<String> {
    let mut all = Vec::new();
    for magic in REGISTRY {
        let forms: Vec<&str> = magic.usage().split_whitespace().collect();
        for name in magic.names() {
            all.extend(
                [format!("%{name}"), format!("%%{name}")]
                    .into_iter()
                    .filter(|name| forms.contains(&name.as_str())),
            );
        }
    }
    all
}

/// The magic whose name is nearest, as it would be written.
fn nearest(call: &Invocation) -> Option<String> {
    const SIMILAR: f64 = 0.75;
    let wanted = call.name.to_lowercase();
    let names = REGISTRY.iter().flat_map(|magic| magic.names()).filter(|name| **name != "!");
    let scored = names.map(|name| (strsim::jaro_winkler(&wanted, name), *name));
    let (score, name) = scored.max_by(|left, right| left.0.total_cmp(&right.0))?;
    let marks = call.spelling.strip_suffix(call.name.as_str()).unwrap_or("%");
    (score >= SIMILAR).then(|| format!("{marks}{name}"))
}

fn usage(magic: &dyn Magic, reason: impl Into<String>) -> MagicError {
    MagicError::Usage { reason: reason.into(), usage: magic.usage() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::testing::{Script, call};
    use super::*;

    #[tokio::test]
    async fn an_unknown_magic_suggests_the_nearest() {
        let mut script = Script::default();
        for (written, meant) in
            [("%tiem x", "`%time`"), ("%%capure a", "`%%capture`"), (":vrs", "`:vars`")]
        {
            let error = run(&call(written), &mut script).await.expect_err(written).to_string();
            assert!(error.contains(meant), "{error}");
        }
        let error = run(&call("%zzzz"), &mut script).await.expect_err("unknown").to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[tokio::test]
    async fn a_line_magic_with_a_body_is_refused() {
        let error = run(&call("%%pwd\nx"), &mut Script::default()).await.expect_err("no body");
        assert!(error.to_string().contains("usage: %pwd"), "{error}");
        assert_eq!(error.into_cell_error().ename, "UsageError");
    }

    #[test]
    fn names_are_used_once_and_everything_is_described() {
        let mut names = BTreeSet::new();
        for magic in REGISTRY {
            assert!(!magic.summary().is_empty() && !magic.usage().is_empty());
            for name in magic.names() {
                assert!(names.insert(*name), "{name} is there twice");
            }
        }
        assert!(spellings().contains(&"%%bash".to_owned()));
        assert!(!spellings().contains(&"%bash".to_owned()));
    }
}
