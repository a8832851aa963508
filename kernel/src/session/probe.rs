//! The compiler as an oracle of types: what stands before the dot of unfinished code.
//!
//! The code before the cursor, made whole, is compiled with a field behind the dot that no type has;
//! the error names the type. Errors in other places do no harm, and nothing is generated. Answers are
//! kept, and a question ends (and its rustc with it) when the next one comes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::prepare::outside;
use super::state::State;
use crate::assist::TypeOracle;
use crate::compile::Compiler;
use crate::diagnostics::Message;

/// Answers that are kept.
const KEPT: usize = 256;

/// What all questions share.
#[derive(Debug)]
pub(crate) struct Answers {
    known: Mutex<HashMap<String, Option<String>>>,
    newest: watch::Sender<u64>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { known: Mutex::default(), newest: watch::channel(0).0 }
    }
}

/// The compiler and what a cell would find.
pub(crate) struct Probe {
    pub(crate) compiler: Option<Arc<Compiler>>,
    pub(crate) state: Arc<State>,
    pub(crate) answers: Arc<Answers>,
}

impl TypeOracle for Probe {
    fn receiver_type<'a>(&'a self, whole: &'a str) -> BoxFuture<'a, Option<String>> {
        async move {
            let compiler = self.compiler.as_ref()?;
            let variables = self.variables(whole);
            let key = format!("{variables}\u{0}{whole}\u{0}{}", self.state.items.sequence());
            let lock = || self.answers.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = lock().get(&key) {
                return found.clone();
            }
            let mine = {
                let mut mine = 0;
                self.answers.newest.send_modify(|newest| {
                    *newest += 1;
                    mine = *newest;
                });
                mine
            };
            let mut newest = self.answers.newest.subscribe();
            let answer = tokio::select! {
                answer = self.ask(compiler, whole, &variables) => answer,
                // A newer question: dropping the other branch kills rustc.
                _ = newest.wait_for(|newest| *newest != mine) => return None,
            };
            let mut known = lock();
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(key, answer.clone());
            answer
        }
        .boxed()
    }
}

impl Probe {
    /// Declarations of the variables that the code mentions.
    fn variables(&self, whole: &str) -> String {
        let words = words(whole);
        let mentioned =
            self.state.variables.iter().filter(|(name, _)| words.contains(name.as_str()));
        mentioned
            .filter(|(_, variable)| variable.is_current(&self.state.items))
            .map(|(name, variable)| {
                format!("let mut {name}:{}=::core::unreachable!();", variable.type_text)
            })
            .collect()
    }

    async fn ask(&self, compiler: &Compiler, whole: &str, variables: &str) -> Option<String> {
        let identifiers: BTreeSet<String> = words(whole).into_iter().map(str::to_owned).collect();
        let types: Vec<&str> = self
            .state
            .variables
            .iter()
            .filter(|(name, _)| identifiers.contains(*name))
            .map(|(_, variable)| variable.type_text.as_str())
            .collect();
        let outside = outside(compiler, &self.state, &identifiers, &types).await.ok()?;
        let source = format!(
            "#![allow(warnings)]use ::oxilab::prelude::*;{}\
             async fn oxilab_probe()->::core::result::Result<(),::oxilab::prelude::anyhow::Error>{{\
             {variables}{whole}\n;::core::result::Result::Ok(())}}",
            outside.code
        );
        let messages = compiler.check(&source, outside.externs, outside.search).await;
        match messages {
            Ok(messages) => messages.iter().find_map(named_type),
            Err(error) => {
                tracing::debug!(%error, "the compiler was not asked for a type");
                None
            }
        }
    }
}

/// The type in "no field `oxilab_hole` on type `T`".
fn named_type(message: &Message) -> Option<String> {
    match message.code() {
        "E0609" => {
            let (_, rest) = message.message.split_once("no field `oxilab_hole` on type `")?;
            rest.rsplit_once('`').map(|(found, _)| found.to_owned())
        }
        // "`i32` is a primitive type and therefore doesn't have fields"
        "E0610" => message.message.split('`').nth(1).map(str::to_owned),
        _ => None,
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect()
}
