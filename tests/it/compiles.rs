//! How often rustc is called for a cell that no cache knows.

use std::sync::Arc;

use oxilab_kernel::server::handler::CellRunner;
use oxilab_kernel::session::Config;

use crate::engine::{run, run_as, start};

async fn compiles(runner: &Arc<dyn CellRunner>, code: &str, count: u32) -> u32 {
    if let Err(error) = run_as(runner, code, count).await {
        panic!("{code}\n{error:?}");
    }
    runner.figures().expect("this engine counts").compiles
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_where_the_text_tells_what_moves() {
    let cache = tempfile::tempdir().expect("a folder");
    let runner = start(Config { cache: cache.path().to_owned(), ..Config::default() }).await;
    for (count, code) in (1..).zip([
        "let frame = df!(\"row\" => [0, 1, 2, 3], \"v\" => [1.0, 2.0, 3.0, 4.0])?;",
        // A query of an earlier cell, taken by one of its methods.
        "let query = frame.clone().lazy().filter(col(\"row\").gt(lit(0)));",
        "let filtered = query.collect()?;\nfiltered.height()",
        // Moved in the cell that binds it.
        "let even = (col(\"row\") % lit(2)).eq(lit(0));\n\
         let table = frame.clone();\n\
         let odd = table.clone().lazy().filter(even.clone().not()).collect()?;\n\
         let rest = table.lazy().filter(even).collect()?;",
        "let words = vec![\"a\".to_owned(), \"b\".to_owned()];\n\
         let joined: String = words.into_iter().collect();\n\
         joined",
        "let text = joined;\ntext.len()",
        // Copied, and still there.
        "let n = 3;\nlet m = n;\nlet k = std::cmp::max(n, m);\nn + m + k",
        "(n, m, k)",
        // An import of everything, and a function that was there before it.
        "fn twice(n: i32) -> i32 { 2 * n }",
        "use std::collections::*;",
        "twice(BTreeSet::from([n, m]).len() as i32)",
        // Used by value and bound again.
        "let frame = frame.lazy().limit(2).collect()?;\nframe.height()",
        "frame.width()",
    ]) {
        assert_eq!(compiles(&runner, code, count).await, 1, "{code}");
    }
    for moved in ["query", "table", "even"] {
        let error = run(&runner, moved).await.expect_err("it is gone");
        let note = format!("there was a variable `{moved}`");
        let traceback = error.traceback.join("\n");
        assert!(traceback.contains(&note) && traceback.contains("moved"), "{traceback}");
    }
}
