//! The first thing to run on a new table: [`baseline`].

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::time::Instant;

use crate::bar::Bar;
use oxilab_display::Render;
use oxilab_display::table::{Heading, Table, escape};
use oxilab_model_format::Task;
use oxilab_runtime::MimeBundle;
use polars::prelude::*;

use crate::encode::numbers;
use crate::error::{ModelError, Result, While, check_interrupt};
use crate::evaluate::{Evaluation, Judged, figure};
use crate::fitted::FittedModel;
use crate::folds::{Folds, take};
use crate::learner::Estimator;
use crate::lightgbm::LightGbm;
use crate::linear::Ridge;
use crate::logistic::LogisticRegression;
use crate::metrics::bootstrap::{Interval, bootstrap_interval};
use crate::rng::Rng;
use crate::target::column_of;
use crate::tree::DecisionTree;
use crate::{Dummy, dummy};

/// One line of the leaderboard.
#[derive(Clone, Debug)]
pub struct Contender {
    /// The fitted model.
    pub model: FittedModel,
    /// The main metric on the test rows with its 95 % bootstrap interval.
    pub score: Interval,
    /// All metrics on the test rows.
    pub evaluation: Evaluation,
    /// Seconds to fit.
    pub seconds: f64,
}

/// What [`baseline`] found.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The task it took the target for.
    pub task: Task,
    /// The target.
    pub target: String,
    /// The metric of the leaderboard.
    pub metric: String,
    /// The models, best first.
    pub leaderboard: Vec<Contender>,
    /// What looks wrong: leakage, duplicates, dropped columns.
    pub warnings: Vec<String>,
    /// What to do next.
    pub next: String,
    /// The rows the models were fitted to, cleaned.
    pub train: DataFrame,
    /// The rows they were judged on, cleaned.
    pub test: DataFrame,
}

impl Baseline {
    /// The best model.
    #[must_use]
    pub fn best(&self) -> &FittedModel {
        &self.leaderboard[0].model
    }

    /// The leaderboard as a frame with columns `learner`, the metric, `low`, `high`, `seconds`.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let board = &self.leaderboard;
        let names: Vec<&str> = board.iter().map(|c| c.model.learner()).collect();
        let part = |of: fn(&Contender) -> f64| board.iter().map(of).collect::<Vec<f64>>();
        df!("learner" => names, self.metric.as_str() => part(|c| c.score.value),
            "low" => part(|c| c.score.low), "high" => part(|c| c.score.high),
            "seconds" => part(|c| c.seconds))
        .doing("making the leaderboard")
    }
}

/// Fits a dummy, a linear and a boosted model to four fifths of the rows and judges them on the rest:
/// how hard the task is, what a model must beat, and what is suspicious about the data. Columns that no
/// model can use are dropped and named; rows without target as well.
///
/// ```
/// let wine = oxilab_data::datasets::wine()?;
/// let found = oxilab_model::baseline(&wine, "cultivar")?;
/// assert_eq!(found.leaderboard.len(), 3);
/// assert!(found.leaderboard[0].score.value > 0.9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the target cannot be used, or fewer than ten rows have one.
pub fn baseline(df: &DataFrame, target: &str) -> Result<Baseline> {
    let mut warnings = Vec::new();
    let (df, whole) = clean(df, target, &mut warnings)?;
    if df.height() < 10 {
        return Err(ModelError::data(
            format!("{} rows with a target are too few to judge models", df.height()),
            "collect at least ten, better hundreds",
        ));
    }
    let (reader, _) = crate::target::TargetReader::of(&df, target, crate::target::Goal::Any(None))?;
    let task = reader.task;
    if task.is_classification() {
        no_lone_rows(&df, target)?;
    }
    let (train, test, twins) = split(&df, &whole, target, task, &mut warnings)?;
    let mut contenders: Vec<Box<dyn Estimator>> = vec![Box::new(Dummy::new())];
    if task.is_classification() {
        contenders.push(Box::new(LogisticRegression::new()));
    } else {
        contenders.push(Box::new(Ridge::new()));
    }
    contenders.push(Box::new(LightGbm::new().with_task(Some(task))));
    let bar = Bar::new("baseline", contenders.len() + 1);
    let mut leaderboard = Vec::new();
    for contender in &contenders {
        check_interrupt()?;
        bar.message(contender.name());
        match fit(contender.as_ref(), &train, &test, target) {
            Ok(found) => leaderboard.push(found),
            Err(error @ ModelError::Interrupted) => return Err(error),
            Err(error) => {
                warnings.push(format!("{} could not be fitted: {error}", contender.name()));
            }
        }
        bar.step();
    }
    leaderboard.sort_by(|a, b| b.score.value.total_cmp(&a.score.value));
    let Some(best) = leaderboard.first() else {
        return Err(ModelError::data(
            format!("no model could be fitted: {}", warnings.join("; ")),
            "fix the columns named, then try again",
        ));
    };
    warnings.extend(leaks(&train, &test, twins, target, task)?);
    bar.step();
    let metric = best.evaluation.main.clone();
    let next = next_step(&leaderboard, &warnings, &metric);
    Ok(Baseline {
        task,
        target: target.to_owned(),
        metric,
        leaderboard,
        warnings,
        next,
        train,
        test,
    })
}

fn fit(
    learner: &dyn Estimator,
    train: &DataFrame,
    test: &DataFrame,
    target: &str,
) -> Result<Contender> {
    let start = Instant::now();
    let model = learner.fit(train, target)?.with_unseen_as_missing(true);
    let seconds = start.elapsed().as_secs_f64();
    let evaluation = model.evaluate(test)?;
    let judged = Judged::new(&model, test)?;
    let resamples = if test.height() > 20_000 { 100 } else { 400 };
    let metric = evaluation.main.clone();
    let score = bootstrap_interval(judged.rows(), resamples, 0.95, 0, |rows| {
        judged.take(rows).metric(&metric)
    })?;
    let model = model.with_metrics(evaluation.metrics.clone());
    Ok(Contender { model, score, evaluation, seconds })
}

/// A class of one row can be learned or judged, not both.
fn no_lone_rows(df: &DataFrame, target: &str) -> Result<()> {
    let words = column_of(df, target)?.cast(&DataType::String).doing("counting classes")?;
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for value in words.str().doing("counting classes")?.iter().flatten() {
        *rows.entry(value).or_default() += 1;
    }
    let lone: Vec<&str> = rows.iter().filter(|(_, rows)| **rows == 1).map(|(c, _)| *c).collect();
    let Some(first) = lone.first() else { return Ok(()) };
    let more =
        if lone.len() > 1 { format!(" ({} classes have)", lone.len()) } else { String::new() };
    Err(ModelError::data(
        format!(
            "class `{first}` has one row{more}; to learn it and to judge that takes two or more"
        ),
        "collect more rows of it, or leave it out or merge it into another class",
    ))
}

/// Drops what no model can use and says so; and the same rows with all columns.
fn clean(
    df: &DataFrame,
    target: &str,
    warnings: &mut Vec<String>,
) -> Result<(DataFrame, DataFrame)> {
    let column = column_of(df, target)?;
    let mut known = column.is_not_null();
    if column.dtype().is_float() {
        known = numbers(column)?.iter().map(|value| value.is_finite()).collect();
    }
    let missing = df.height() - known.iter().filter(|k| *k == Some(true)).count();
    let mut out = df.filter(&known).doing("dropping rows without target")?;
    let whole = out.clone();
    if missing > 0 {
        warnings.push(format!("{missing} rows without a usable target were dropped"));
    }
    let mut dropped = Vec::new();
    for column in df.columns().iter().filter(|column| column.name() != target) {
        let name = column.name().as_str();
        let column = column_of(&out, name)?.clone();
        let dtype = column.dtype();
        let text = dtype.is_string() || dtype.is_categorical() || dtype.is_enum();
        let readable = text || dtype.is_numeric() || dtype.is_bool();
        let distinct = column.n_unique().unwrap_or(0);
        let reason = if column.null_count() == column.len() {
            Some("holds no values")
        } else if !readable {
            Some("has a type that models cannot read; make numbers of it")
        } else if distinct <= 1 {
            Some("is constant")
        } else if text && distinct > 100 && distinct * 2 > column.len() {
            Some("looks like an identifier or free text")
        } else {
            None
        };
        if let Some(reason) = reason {
            dropped.push(format!("`{name}` {reason}"));
            out = out.drop(name).doing("dropping a column")?;
        } else if dtype.is_float() && numbers(&column)?.iter().any(|value| value.is_infinite()) {
            warnings.push(format!("infinite values of `{name}` count as missing"));
            let finite: Vec<Option<f64>> =
                numbers(&column)?.iter().map(|v| v.is_finite().then_some(*v)).collect();
            out.with_column(Column::new(name.into(), finite)).doing("replacing infinite values")?;
        }
    }
    if !dropped.is_empty() {
        warnings.push(format!("left out: {}", dropped.join(", ")));
    }
    if out.width() < 2 {
        return Err(ModelError::data(
            format!("no usable column is left beside `{target}`"),
            format!("add columns with information; {}", warnings.join("; ")),
        ));
    }
    Ok((out, whole))
}

/// Four fifths and one fifth; stratified where every class has rows enough. And how many of the
/// `whole` rows stand in both, with the columns that are no inputs: two days may measure the same.
fn split(
    df: &DataFrame,
    whole: &DataFrame,
    target: &str,
    task: Task,
    warnings: &mut Vec<String>,
) -> Result<(DataFrame, DataFrame, usize)> {
    let stratified = if task.is_classification() { Folds::stratified(5) } else { Folds::k_fold(5) };
    let splits = match stratified.split(df, target) {
        Ok(splits) => splits,
        Err(ModelError::Data { problem, .. }) => {
            warnings.push(format!("{problem}: the split is not stratified"));
            Folds::k_fold(5).split(df, target)?
        }
        Err(error) => return Err(error),
    };
    let (train_rows, test_rows) = &splits[0];
    let (mut train, mut test) = (take(df, train_rows)?, take(df, test_rows)?);
    let twins = twins(&take(whole, train_rows)?, &take(whole, test_rows)?)?;
    // Columns without values among the training rows teach nothing.
    for name in df.get_column_names() {
        if column_of(&train, name)?.null_count() == train.height() {
            train = train.drop(name).doing("dropping a column")?;
            test = test.drop(name).doing("dropping a column")?;
        }
    }
    Ok((train, test, twins))
}

/// Columns that give the target away, and rows that stand on both sides.
fn leaks(
    train: &DataFrame,
    test: &DataFrame,
    twins: usize,
    target: &str,
    task: Task,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let (few_train, few_test) = (sample(train, 5000)?, sample(test, 5000)?);
    for column in train.columns().iter().filter(|column| column.name() != target) {
        check_interrupt()?;
        let names = [column.name().as_str(), target];
        let (a, b) = (few_train.select(names), few_test.select(names));
        let (a, b) = (a.doing("choosing columns")?, b.doing("choosing columns")?);
        let tree = DecisionTree::new()
            .with_max_depth(Some(6))
            .with_min_samples_leaf(2)
            .with_task(Some(task));
        let Ok(model) = tree.fit(&a, target) else { continue };
        let Ok(evaluation) = model.with_unseen_as_missing(true).evaluate(&b) else { continue };
        if evaluation.score() > 0.99 {
            warnings.push(format!(
                "`{}` alone predicts the target ({} {}): is it known when you predict, or a copy of the target?",
                column.name(),
                evaluation.main,
                figure(evaluation.score())
            ));
        }
    }
    if twins * 100 > test.height() {
        warnings.push(format!(
            "{twins} of {} test rows also stand among the training rows: scores are too good; drop duplicates first",
            test.height()
        ));
    }
    Ok(warnings)
}

fn sample(df: &DataFrame, most: usize) -> Result<DataFrame> {
    if df.height() <= most {
        return Ok(df.clone());
    }
    let mut rows = Rng::new(0).permutation(df.height());
    rows.truncate(most);
    take(df, &rows)
}

/// Test rows that are equal to a training row in all columns.
fn twins(train: &DataFrame, test: &DataFrame) -> Result<usize> {
    let hashes = |df: &DataFrame| -> Result<Vec<u64>> {
        let mut out = vec![0xcbf2_9ce4_8422_2325_u64; df.height()];
        let mut mix = |row: usize, bits: u64| {
            out[row] = Rng::new(out[row] ^ bits).next_u64();
        };
        for column in df.columns() {
            if column.dtype().is_numeric() || column.dtype().is_bool() {
                numbers(column)?.iter().enumerate().for_each(|(row, v)| mix(row, v.to_bits()));
            } else {
                // Columns that have no words (lists, bytes) are not compared.
                let Ok(words) = column.cast(&DataType::String) else { continue };
                for (row, value) in words.str().doing("comparing rows")?.iter().enumerate() {
                    value.unwrap_or("\0").bytes().for_each(|byte| mix(row, u64::from(byte)));
                }
            }
        }
        Ok(out)
    };
    let known: HashSet<u64> = hashes(train)?.into_iter().collect();
    Ok(hashes(test)?.iter().filter(|hash| known.contains(*hash)).count())
}

fn next_step(board: &[Contender], warnings: &[String], metric: &str) -> String {
    let best = &board[0];
    let dummy = board.iter().find(|c| c.model.predictor().kind() == dummy::KIND);
    if let Some(leak) =
        warnings.iter().find(|w| w.contains("alone predicts") || w.contains("duplicates"))
    {
        return format!("Look into the data first: {leak}");
    }
    let Some(dummy) = dummy else {
        return "Look into why the dummy could not be fitted.".to_owned();
    };
    if best.score.low <= dummy.score.high {
        return "No model is clearly better than guessing: more rows or better columns will help more than tuning.".to_owned();
    }
    let learner = best.model.learner();
    let rows = best.evaluation.rows;
    let width = best.score.high - best.score.low;
    if width > 0.1 && rows < 2000 {
        return format!(
            "{learner} is ahead, but {rows} test rows leave {metric} uncertain by {}: use `cross_validate`.",
            figure(width)
        );
    }
    format!(
        "{learner} is ahead: look at `best().importance()` and `permutation_importance`, then tune it with `tune`."
    )
}

impl Render for Baseline {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![
            Heading::new("learner"),
            Heading::new(self.metric.as_str()).numeric(),
            Heading::new("95 % interval").numeric(),
            Heading::new("seconds").numeric(),
        ]);
        table.title = format!(
            "{} of `{}` · {} rows to train on, {} to test on",
            self.task,
            self.target,
            self.train.height(),
            self.test.height()
        );
        for contender in &self.leaderboard {
            let score = contender.score;
            table.push(vec![
                Some(contender.model.learner().to_owned()),
                Some(figure(score.value)),
                Some(format!("{} to {}", figure(score.low), figure(score.high))),
                Some(format!("{:.2}", contender.seconds)),
            ]);
        }
        let mut text = table.to_text();
        let mut html = format!("<div><b>{}</b></div>{}", escape(&table.title), table.to_html());
        for warning in &self.warnings {
            let _ = write!(text, "\nwarning: {warning}");
            let _ = write!(html, "<div>⚠ {}</div>", escape(warning));
        }
        let _ = write!(text, "\nnext: {}", self.next);
        let _ = write!(html, "<div><b>Next:</b> {}</div>", escape(&self.next));
        MimeBundle::text(text).with_html(html)
    }
}
