//! Which calls walk over what is in memory, as `v.iter().map(f).sum()` does: not long, but not nothing.

/// Methods that begin a walk over a slice, a text or a map.
const STARTS: &[&str] = &[
    "bytes",
    "char_indices",
    "chars",
    "chunks",
    "chunks_exact",
    "drain",
    "iter",
    "iter_mut",
    "keys",
    "lines",
    "split_whitespace",
    "values",
    "values_mut",
    "windows",
];

/// Methods of iterators.
const STEPS: &[&str] = &[
    "all",
    "any",
    "chain",
    "cloned",
    "collect",
    "copied",
    "count",
    "enumerate",
    "filter",
    "filter_map",
    "find",
    "flat_map",
    "fold",
    "last",
    "map",
    "max",
    "max_by",
    "max_by_key",
    "min",
    "min_by",
    "min_by_key",
    "nth",
    "position",
    "product",
    "rev",
    "rposition",
    "skip",
    "skip_while",
    "step_by",
    "sum",
    "take",
    "take_while",
    "zip",
];

/// Whether a call is one of a walk. The start decides: frames, columns and tensors have methods of these
/// names, too.
pub(super) fn is_walk(call: &syn::ExprMethodCall) -> bool {
    let mut call = call;
    loop {
        let name = call.method.to_string();
        if STARTS.contains(&name.as_str()) {
            return true;
        }
        match &*call.receiver {
            syn::Expr::MethodCall(before) if STEPS.contains(&name.as_str()) => call = before,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_walk;

    #[test]
    fn a_walk_begins_with_what_is_in_memory() {
        let walks = |code: &str| is_walk(&syn::parse_str(code).expect("a call"));
        for code in
            ["v.iter()", "v[a..].iter().sum::<u64>()", "text.chars().rev().filter(f).count()"]
        {
            assert!(walks(code), "{code}");
        }
        for code in ["v.len()", "column.sum()", "df.clone().sum()", "(0..).map(f)", "v.iter().f()"]
        {
            assert!(!walks(code), "{code}");
        }
    }
}
