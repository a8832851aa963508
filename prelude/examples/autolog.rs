//! What `%autolog` costs a training run: the same fit with and without it in turns, as JSON. Runs go to
//! the server that `MLFLOW_TRACKING_URI` names, else to a journal.
//!
//! `autolog [ROUNDS [ROWS [TREES]]]`

use std::time::Instant;

use oxilab::{model, track};
use polars::prelude::{Column, DataFrame};

const COLUMNS: usize = 20;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let mut next = |default| words.next().unwrap_or(Ok(default));
    let (rounds, rows, trees) = (next(5)?, next(200_000)?, next(200)?);
    let frame = frame(rows)?;
    track::experiment("autolog")?;
    let fit = |on: bool| -> anyhow::Result<f64> {
        track::autolog(on);
        let begun = Instant::now();
        model::LightGbm::new().with_n_estimators(trees).fit(&frame, "y")?;
        Ok(begun.elapsed().as_secs_f64())
    };
    fit(true)?;
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        off.push(fit(false)?);
        on.push(fit(true)?);
    }
    track::autolog(false);
    track::flush()?;
    let (off, on) = (middle(&mut off), middle(&mut on));
    println!(
        "{{\"rounds\": {rounds}, \"off\": {off:.3}, \"on\": {on:.3}, \"share\": {:.4}}}",
        on / off - 1.0
    );
    Ok(())
}

/// Numbers without a library of chances: the same in every run.
fn frame(rows: usize) -> anyhow::Result<DataFrame> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut value = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
    };
    let columns: Vec<Vec<f64>> =
        (0..COLUMNS).map(|_| (0..rows).map(|_| value()).collect()).collect();
    let target: Vec<f64> = (0..rows)
        .map(|row| {
            (columns[0][row] * 6.0).sin() + columns[1][row] * columns[2][row] + value() / 10.0
        })
        .collect();
    let named = columns.into_iter().enumerate();
    let mut all: Vec<Column> =
        named.map(|(at, column)| Column::new(format!("x{at}").into(), column)).collect();
    all.push(Column::new("y".into(), target));
    Ok(DataFrame::new(rows, all)?)
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
