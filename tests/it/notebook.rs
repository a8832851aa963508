//! Notebooks without Jupyter, through the scripted runner.

use std::path::Path;

use oxilab_kernel::notebook::{
    Cell, CellEnd, CellStatus, FailedCell, Notebook, RunOptions, execute,
};
use oxilab_tests::echo::Echo;
use serde_json::{Value, json};

fn notebook(cells: &[(&str, &[&str])]) -> Notebook {
    let cells: Vec<Value> = cells
        .iter()
        .map(|(source, tags)| {
            json!({"cell_type": "code", "metadata": {"tags": tags}, "source": source,
                   "outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}],
                   "execution_count": 99})
        })
        .collect();
    let text = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4});
    Notebook::parse(&text.to_string(), Path::new("test.ipynb")).expect("is a notebook")
}

async fn run(
    notebook: &mut Notebook,
    allow_errors: bool,
) -> (Option<FailedCell>, Vec<CellStatus>, Vec<String>) {
    let echo = Echo::new();
    let mut ends = Vec::new();
    let ended = |end: &CellEnd<'_>| ends.push(end.status.clone());
    let failed = execute(notebook, &*echo, RunOptions { allow_errors }, ended).await;
    (failed, ends, echo.upcoming_cells())
}

fn outputs(notebook: &Notebook) -> Vec<(Option<u32>, Value)> {
    let code = notebook.cells.iter().filter_map(|cell| match cell {
        Cell::Code(code) => Some((code.execution_count, Value::Array(code.outputs.clone()))),
        Cell::Markdown(_) | Cell::Raw(_) => None,
    });
    code.collect()
}

#[tokio::test]
async fn outputs_stand_in_the_notebook_as_jupyter_writes_them() {
    let mut notebook = notebook(&[
        ("print a\nprint b\neprint c\nresult 3", &[]),
        ("", &[]),
        ("display bar 0", &[]),
        ("update bar 100\nclear\ndisplay x 1", &[]),
    ]);
    let (failed, ends, upcoming) = run(&mut notebook, false).await;
    assert_eq!(failed, None);
    assert_eq!(ends, vec![CellStatus::Ok; 3], "an empty cell does not run");
    assert_eq!(upcoming, ["display bar 0", "update bar 100\nclear\ndisplay x 1"]);
    let shown = outputs(&notebook);
    assert_eq!(
        shown[0],
        (
            Some(1),
            json!([
                {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]},
                {"output_type": "stream", "name": "stderr", "text": ["c\n"]},
                {"output_type": "execute_result", "execution_count": 1,
                 "data": {"text/plain": ["3"]}, "metadata": {}},
            ])
        )
    );
    assert_eq!(shown[2].1[0]["data"]["text/plain"], json!(["100"]), "updated by a later cell");
    assert_eq!(shown[3].0, Some(3));
    assert_eq!(shown[3].1.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_failing_cell_ends_the_run_unless_its_tag_allows_it() {
    let cells: &[(&str, &[&str])] = &[
        ("error Expected one", &["raises-exception"]),
        ("error Skipped one", &["skip-execution"]),
        ("print a\nerror Real one", &[]),
        ("result 9", &[]),
    ];
    let mut stopped = notebook(cells);
    let (failed, ends, _) = run(&mut stopped, false).await;
    let failed = failed.expect("a cell failed");
    assert_eq!((failed.index, failed.count, failed.error.ename.as_str()), (2, 2, "Real"));
    assert!(matches!(ends[0], CellStatus::ErrorAllowed(_)));
    assert_eq!(ends[1], CellStatus::Skipped);
    let shown = outputs(&stopped);
    assert_eq!(shown[0].1[0]["output_type"], "error");
    assert_eq!(
        shown[1],
        (Some(99), json!([{"output_type": "stream", "name": "stdout", "text": "old"}]))
    );
    assert_eq!(shown[2].1[1]["ename"], "Real");
    assert_eq!(shown[3], (None, json!([])), "cells after it have no outputs");

    let mut allowed = notebook(cells);
    let (failed, _, _) = run(&mut allowed, true).await;
    assert_eq!(failed, None);
    assert_eq!(outputs(&allowed)[3].1[0]["data"]["text/plain"], json!(["9"]));
}

#[tokio::test]
async fn input_fails_at_once() {
    let mut notebook = notebook(&[("input Name?", &[])]);
    let (failed, _, _) = run(&mut notebook, false).await;
    assert!(failed.expect("it fails").error.evalue.contains("--param"));
}
