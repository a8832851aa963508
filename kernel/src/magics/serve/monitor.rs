//! `%monitor`.

use super::{Verb, show};

pub(in super::super) static MONITOR: Verb = Verb {
    name: &["monitor"],
    summary: "shows requests, latency, drift and performance of a server",
    usage: "%monitor NAME\n%monitor URL",
    compose: |words, _| match words {
        [name] => Ok(show(&format!("::oxilab::serve::monitor({name:?})?"))),
        _ => Err("the name of a server is needed; `%serve list` shows all".to_owned()),
    },
};
