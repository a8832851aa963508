//! Studies: as good as Optuna's, kept in a file, pruned.

use oxilab_data::datasets;
use oxilab_display::Render;
use oxilab_model::*;

use crate::golden::read;

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|v| (v - 1.0) * (v - 1.0)).sum()
}

fn branin(x: &[f64]) -> f64 {
    use std::f64::consts::PI;
    let (a, b) = (x[0], x[1]);
    let inner = b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0;
    inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos() + 10.0
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum()
}

#[test]
fn tpe_reaches_optunas_median() {
    let golden = read("tpe.json");
    type Case<'a> = (&'a str, fn(&[f64]) -> f64, &'a [(f64, f64)]);
    let cases: [Case<'_>; 3] = [
        ("sphere", sphere, &[(-5.0, 5.0); 4]),
        ("branin", branin, &[(-5.0, 10.0), (0.0, 15.0)]),
        ("rosenbrock", rosenbrock, &[(-2.0, 2.0); 3]),
    ];
    for (name, f, bounds) in cases {
        let mut space = Space::new();
        for (index, (low, high)) in bounds.iter().enumerate() {
            space = space.float(format!("x{index}"), *low, *high);
        }
        let mut best: Vec<f64> = (0..401)
            .map(|seed| {
                let mut study =
                    Study::new(name).with_direction(Direction::Minimize).with_seed(seed);
                let objective = |trial: &mut Trial<'_>| {
                    let x: Result<Vec<f64>> =
                        (0..bounds.len()).map(|i| trial.float(&format!("x{i}"))).collect();
                    Ok(f(&x?))
                };
                study.optimize(&space, 60, objective).unwrap();
                study.best_value().unwrap()
            })
            .collect();
        best.sort_by(f64::total_cmp);
        let (ours, theirs) = (best[200], golden[name]["median"].as_f64().unwrap());
        println!("{name}: ours {ours}, Optuna's {theirs}");
        assert!(ours <= theirs, "{name}: {ours} against {theirs}");
    }
}

#[test]
fn a_study_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("studies.db");
    let space = Space::new().log_float("c", 1e-4, 1e2).int("n", 1, 9).choice("k", ["a", "b", "c"]);
    let objective = |trial: &mut Trial<'_>| {
        let bonus = if trial.choice("k")? == "b" { 1.0 } else { 0.0 };
        Ok(bonus - (trial.float("c")?.ln() - 1.0).abs() - trial.int("n")? as f64 / 10.0)
    };
    let mut whole = Study::new("whole").with_seed(5);
    whole.optimize(&space, 25, objective).unwrap();
    for trials in [12, 25] {
        let mut study = Study::new("s").with_seed(5).with_storage(&file);
        study.optimize(&space, trials, objective).unwrap();
        assert_eq!(study.trials().len(), trials);
    }
    let mut study = Study::new("s").with_seed(5).with_storage(&file);
    study.optimize(&space, 25, |_| panic!("nothing is left to run")).unwrap();
    let params = |study: &Study| {
        study.trials().iter().map(|t| (t.params.clone(), t.value)).collect::<Vec<_>>()
    };
    assert_eq!(
        params(&study),
        params(&whole),
        "resumed and whole studies are the same to the last bit"
    );
    assert_eq!(study.best().unwrap().choice("k").unwrap(), "b");
    assert_eq!(study.to_frame().unwrap().shape(), (25, 7));
    assert!(study.render().plain().contains("25 trials"));
    let mut other = Study::new("s").with_storage(&file);
    let error = other.optimize(&Space::new().int("n", 1, 2), 1, |_| Ok(0.0)).unwrap_err();
    assert!(error.to_string().contains("another space"), "{error}");
}

#[test]
fn a_grid_visits_every_combination_once() {
    let space = Space::new().float("x", 0.0, 1.0).int("n", 1, 2).choice("k", ["a", "b"]);
    let mut study = Study::new("g").with_sampler(Sampler::Grid(3));
    let mut seen = Vec::new();
    study
        .optimize(&space, 12, |trial| {
            let (x, n, k) = (trial.float("x")?, trial.int("n")?, trial.choice("k")?);
            seen.push(format!("{x} {n} {k}"));
            Ok(x * n as f64 + if k == "b" { 0.5 } else { 0.0 })
        })
        .unwrap();
    seen.sort();
    let mut all: Vec<String> = ["0", "0.5", "1"]
        .iter()
        .flat_map(|x| [1, 2].map(|n| ["a", "b"].map(|k| format!("{x} {n} {k}"))))
        .flatten()
        .collect();
    all.sort();
    assert_eq!(seen, all);
    assert_eq!(study.best_value(), Some(2.5));
}

#[test]
fn halving_ends_poor_trials_early() {
    let pruner = Pruner::SuccessiveHalving { min_step: 1, factor: 3 };
    let mut study = Study::new("h").with_sampler(Sampler::Random).with_pruner(pruner);
    let mut steps = 0;
    study
        .optimize(&Space::new().float("x", 0.0, 1.0), 40, |trial| {
            let x = trial.float("x")?;
            for step in 1..=27 {
                steps += 1;
                trial.report(step, x)?;
            }
            Ok(x)
        })
        .unwrap();
    let pruned = study.trials().iter().filter(|trial| trial.state == State::Pruned).count();
    assert!(pruned >= 20 && steps < 40 * 27 / 2, "{pruned} pruned, {steps} steps");
    assert!(study.best_value().unwrap() > 0.9);
}

#[test]
fn hyperband_finds_late_bloomers_and_saves_steps() {
    // A slow starter looks worse than the rest until step 9.
    let value = |x: f64, step: u64| if step < 9 { 1.0 - x } else { x };
    let space = Space::new().float("x", 0.0, 1.0);
    let run = |pruner| {
        let mut study = Study::new("h").with_sampler(Sampler::Random).with_pruner(pruner);
        let mut steps = 0;
        study
            .optimize(&space, 60, |trial| {
                let x = trial.float("x")?;
                for step in 1..=27 {
                    steps += 1;
                    trial.report(step, value(x, step))?;
                }
                Ok(value(x, 27))
            })
            .unwrap();
        (study.best_value().unwrap(), steps)
    };
    let (halving, _) = run(Pruner::SuccessiveHalving { min_step: 1, factor: 3 });
    let (hyperband, steps) = run(Pruner::Hyperband { min_step: 1, max_step: 27, factor: 3 });
    assert!(hyperband > 0.9 && hyperband > halving, "{hyperband} against {halving}");
    assert!(steps < 60 * 27 * 2 / 3, "{steps} steps");
    let mut wrong =
        Study::new("w").with_pruner(Pruner::Hyperband { min_step: 9, max_step: 3, factor: 3 });
    let error = wrong.optimize(&space, 1, |_| Ok(0.0)).unwrap_err().to_string();
    assert!(error.contains("max_step is 3"), "{error}");
}

#[test]
fn a_study_shows_what_matters() {
    let mut study = Study::new("p").with_direction(Direction::Minimize);
    let space = Space::new().log_float("a", 1e-4, 1.0).float("b", 0.0, 1.0).choice("c", ["u", "v"]);
    study.optimize(&space, 40, |trial| Ok((trial.float("a")?.ln() + 3.0).powi(2))).unwrap();
    let importance = study.importance().unwrap();
    let first = importance.column("parameter").unwrap().str().unwrap().get(0).unwrap().to_owned();
    let share = importance.column("importance").unwrap().f64().unwrap().get(0).unwrap();
    assert!(first == "a" && share > 0.6, "{importance}");
    for chart in [study.plot_history(), study.plot_importance(), study.plot_parallel()] {
        assert!(chart.unwrap().to_png().unwrap().starts_with(b"\x89PNG"));
    }
    let shown = study.render();
    assert!(shown.data["text/html"].as_str().unwrap().contains("data:image/png;base64,"));
    let mut flat = Study::new("flat");
    flat.optimize(&space, 3, |_| Ok(1.0)).unwrap();
    assert!(flat.importance().unwrap_err().to_string().contains("more trials"));
    assert!(Study::new("none").plot_history().is_err());
}

#[test]
fn failures_are_kept_and_said() {
    let mut study = Study::new("f");
    let space = Space::new().float("x", 0.0, 1.0);
    let error = study.optimize(&space, 5, |trial| trial.float("y")).unwrap_err().to_string();
    assert!(error.contains("trial 0") && error.contains("no parameter `y`"), "{error}");
    assert_eq!(study.trials()[0].state, State::Failed);
    assert!(study.optimize(&space, 5, |_| Ok(f64::NAN)).is_err());
    assert!(tune(&Space::new(), 1, |_| Ok(1.0)).is_err());
    assert!(tune(&Space::new().float("x", 1.0, 0.0), 1, |_| Ok(1.0)).is_err());
}

#[test]
fn tuning_a_model_beats_its_worst_setting() {
    let wine = datasets::wine().unwrap();
    let space = Space::new().log_float("c", 1e-4, 10.0);
    let study = tune(&space, 12, |trial| {
        let learner = LogisticRegression::new().with_c(trial.float("c")?);
        Ok(cross_validate(&learner, &wine, "cultivar", 4)?.score())
    })
    .unwrap();
    assert!(study.best_value().unwrap() > 0.97);
    let worst = study.trials().iter().filter_map(|t| t.value).fold(1.0, f64::min);
    assert!(study.best_value().unwrap() > worst);
}
