//! Metrics equal scikit-learn's to 1e-12.

use oxilab_model::metrics::multilabel::LabelAverage;
use oxilab_model::metrics::probability::{MultiClass, roc_auc_multiclass, top_k_accuracy};
use oxilab_model::metrics::{
    self, Average, ConfusionMatrix, clustering, multilabel, ranking, regression,
};
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{bools, close, codes, floats, read};

const EXACT: f64 = 1e-12;

const AVERAGES: [(&str, Average); 4] = [
    ("binary", Average::Binary),
    ("micro", Average::Micro),
    ("macro", Average::Macro),
    ("weighted", Average::Weighted),
];

fn check(expected: &Value, name: &str, found: f64) {
    close(name, found, expected[name].as_f64().unwrap_or_else(|| panic!("{name}")), EXACT);
}

#[test]
fn metrics_of_classes_and_probabilities() {
    for case in read("metrics.json")["classification"].as_array().unwrap() {
        let (truth, predicted) = (codes(&case["truth"]), codes(&case["predicted"]));
        let weights = (!case["weights"].is_null()).then(|| floats(&case["weights"]));
        let weights = weights.as_deref();
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let p = floats(&case["probabilities"]);
        let expected = &case["expected"];
        let matrix = ConfusionMatrix::weighted(&truth, &predicted, weights).unwrap();
        for (row, expected) in matrix.counts.iter().zip(expected["confusion"].as_array().unwrap()) {
            crate::golden::all_close("confusion", row, &floats(expected), EXACT);
        }
        check(expected, "accuracy", matrix.accuracy());
        check(expected, "balanced_accuracy", matrix.balanced_accuracy());
        check(expected, "matthews_corrcoef", matrix.matthews_corrcoef());
        check(expected, "cohen_kappa", matrix.cohen_kappa());
        check(
            expected,
            "log_loss",
            metrics::probability::log_loss(&truth, &p, classes, weights).unwrap(),
        );
        for (name, average) in AVERAGES.iter().skip(usize::from(classes > 2)) {
            check(expected, &format!("precision_{name}"), matrix.precision(*average).unwrap());
            check(expected, &format!("recall_{name}"), matrix.recall(*average).unwrap());
            check(expected, &format!("f1_{name}"), matrix.f1(*average).unwrap());
            check(expected, &format!("f2_{name}"), matrix.fbeta(2.0, *average).unwrap());
            check(expected, &format!("jaccard_{name}"), matrix.jaccard(*average).unwrap());
        }
        if classes == 2 {
            let s: Vec<f64> = p.iter().skip(1).step_by(2).copied().collect();
            check(expected, "roc_auc", metrics::roc_auc(&truth, &s, weights).unwrap());
            check(
                expected,
                "average_precision",
                metrics::average_precision(&truth, &s, weights).unwrap(),
            );
            check(expected, "brier_score", metrics::brier_score(&truth, &s, weights).unwrap());
        } else {
            let area = |how| roc_auc_multiclass(&truth, &p, classes, how).unwrap();
            check(expected, "roc_auc_ovr", area(MultiClass::OneVsRest));
            check(expected, "roc_auc_ovr_weighted", area(MultiClass::OneVsRestWeighted));
            check(expected, "roc_auc_ovo", area(MultiClass::OneVsOne));
            check(expected, "top_2", top_k_accuracy(&truth, &p, classes, 2).unwrap());
            assert!(matrix.f1(Average::Binary).is_err());
        }
    }
}

#[test]
fn metrics_of_numbers() {
    for case in read("metrics.json")["regression"].as_array().unwrap() {
        let (t, p) = (floats(&case["truth"]), floats(&case["predicted"]));
        let weights = (!case["weights"].is_null()).then(|| floats(&case["weights"]));
        let w = weights.as_deref();
        let e = &case["expected"];
        check(e, "mse", regression::mean_squared_error(&t, &p, w).unwrap());
        check(e, "rmse", regression::root_mean_squared_error(&t, &p, w).unwrap());
        check(e, "mae", regression::mean_absolute_error(&t, &p, w).unwrap());
        check(e, "mape", regression::mean_absolute_percentage_error(&t, &p, w).unwrap());
        check(e, "msle", regression::mean_squared_log_error(&t, &p, w).unwrap());
        check(e, "r2", regression::r2(&t, &p, w).unwrap());
        check(e, "explained_variance", regression::explained_variance(&t, &p, w).unwrap());
        check(e, "pinball", regression::mean_pinball_loss(&t, &p, 0.2, w).unwrap());
        check(e, "poisson", regression::mean_poisson_deviance(&t, &p, w).unwrap());
        check(e, "gamma", regression::mean_gamma_deviance(&t, &p, w).unwrap());
        check(e, "median", regression::median_absolute_error(&t, &p).unwrap());
        check(e, "max", regression::max_error(&t, &p).unwrap());
    }
}

#[test]
fn metrics_of_rankings() {
    for case in read("metrics.json")["ranking"].as_array().unwrap() {
        let (relevance, scores) = (floats(&case["relevance"]), floats(&case["scores"]));
        let relevant = bools(&case["relevant"]);
        let k = case["k"].as_u64().map(|k| usize::try_from(k).unwrap());
        let e = &case["expected"];
        check(e, "dcg", ranking::dcg(&relevance, &scores, k).unwrap());
        check(e, "ndcg", ranking::ndcg(&relevance, &scores, k).unwrap());
        check(e, "lrap", ranking::label_ranking_average_precision(&relevant, &scores).unwrap());
        check(e, "coverage", ranking::coverage_error(&relevant, &scores).unwrap());
        check(e, "loss", ranking::label_ranking_loss(&relevant, &scores).unwrap());
    }
}

#[test]
fn metrics_of_clusters() {
    let case = &read("metrics.json")["clustering"];
    let (t, p) = (codes(&case["truth"]), codes(&case["predicted"]));
    let e = &case["expected"];
    check(e, "adjusted_rand", clustering::adjusted_rand(&t, &p).unwrap());
    check(e, "rand", clustering::rand_index(&t, &p).unwrap());
    check(e, "nmi", clustering::normalized_mutual_info(&t, &p).unwrap());
    check(e, "ami", clustering::adjusted_mutual_info(&t, &p).unwrap());
    check(e, "fowlkes_mallows", clustering::fowlkes_mallows(&t, &p).unwrap());
    let [h, c, v] = clustering::homogeneity_completeness_v(&t, &p).unwrap();
    check(e, "homogeneity", h);
    check(e, "completeness", c);
    check(e, "v_measure", v);
    let columns: Vec<Column> = case["x"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, values)| Column::new(format!("x{i}").into(), floats(values)))
        .collect();
    let df = DataFrame::new(p.len(), columns).unwrap();
    check(e, "silhouette", clustering::silhouette(&df, &p).unwrap());
    check(e, "calinski_harabasz", clustering::calinski_harabasz(&df, &p).unwrap());
    check(e, "davies_bouldin", clustering::davies_bouldin(&df, &p).unwrap());
}

#[test]
fn metrics_of_several_labels() {
    let case = &read("metrics.json")["multilabel"];
    let rows = |name: &str| -> Vec<Vec<bool>> {
        case[name].as_array().unwrap().iter().map(bools).collect()
    };
    let (t, p) = (rows("truth"), rows("predicted"));
    let e = &case["expected"];
    check(e, "subset", multilabel::subset_accuracy(&t, &p).unwrap());
    check(e, "hamming", multilabel::hamming_loss(&t, &p).unwrap());
    let averages = AVERAGES[1..].iter().map(|(name, a)| (*name, LabelAverage::Labels(*a)));
    for (name, average) in averages.chain([("samples", LabelAverage::Samples)]) {
        check(e, &format!("precision_{name}"), multilabel::precision(&t, &p, average).unwrap());
        check(e, &format!("recall_{name}"), multilabel::recall(&t, &p, average).unwrap());
        check(e, &format!("f1_{name}"), multilabel::f1_score(&t, &p, average).unwrap());
        check(e, &format!("jaccard_{name}"), multilabel::jaccard(&t, &p, average).unwrap());
    }
}

#[test]
fn series_and_text_are_labels_too() {
    let truth = Series::new("t".into(), ["a", "b", "b"]);
    let predicted = Column::new("p".into(), ["a", "b", "a"]);
    assert_eq!(metrics::accuracy(&truth, &predicted).unwrap(), 2.0 / 3.0);
    assert!(metrics::accuracy(&truth, &[1, 2, 3]).is_err());
    assert!(metrics::accuracy(&["a"], &["a", "b"]).is_err());
    let missing = Series::new("t".into(), [Some("a"), None, Some("b")]);
    assert!(metrics::accuracy(&missing, &predicted).unwrap_err().to_string().contains("missing"));
    assert!(metrics::roc_auc(&[1, 1], &[0.5, 0.6], None).is_err());
}

#[test]
fn bootstrap_intervals_cover_and_depend_on_the_seed_alone() {
    // The mean of 400 values that are 1 with a chance of 0.3: in 95 of 100 samples the interval holds it.
    let covered = (0..100_u64).filter(|sample| {
        let hit = |row: u64| {
            let mixed = (sample * 1000 + row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11
        };
        let hits: Vec<f64> = (0..400)
            .map(|row| f64::from(u8::from((hit(row) as f64 / (1_u64 << 53) as f64) < 0.3)))
            .collect();
        let mean = |rows: &[u32]| {
            Ok(rows.iter().map(|row| hits[*row as usize]).sum::<f64>() / rows.len() as f64)
        };
        let interval = metrics::bootstrap_interval(400, 400, 0.95, *sample, mean).unwrap();
        assert!((interval.high - interval.low - 0.09).abs() < 0.03, "{interval}");
        interval.low <= 0.3 && 0.3 <= interval.high
    });
    let covered = covered.count();
    assert!((88..=100).contains(&covered), "{covered} of 100");
    let run = |threads: usize, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let sum = |rows: &[u32]| Ok(rows.iter().map(|row| f64::from(*row)).sum::<f64>());
        pool.install(|| metrics::bootstrap_interval(50, 100, 0.9, seed, sum).unwrap())
    };
    assert_eq!(run(1, 3), run(3, 3));
    assert_ne!(run(1, 3), run(1, 4));
    let error = metrics::bootstrap_interval(5, 1, 0.9, 0, |_| Ok(0.0)).unwrap_err().to_string();
    assert!(error.contains("resamples is 1"), "{error}");
}
