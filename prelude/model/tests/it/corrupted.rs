//! Model files that were changed behind a right checksum: an error or a model that predicts, never a
//! panic. What only breaks the checksum is the format's own test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use oxilab_data::{OneHotEncoder, Pipeline, Select, StandardScaler};
use oxilab_model::*;
use polars::prelude::*;
use sha2::{Digest as _, Sha256};

fn frame() -> DataFrame {
    let n = 60_i32;
    df!(
        "x" => (0..n).map(|i| (i % 7 != 0).then(|| f64::from(i * 37 % 101))).collect::<Vec<_>>(),
        "c" => (0..n).map(|i| ["u", "v", "w"][i as usize % 3]).collect::<Vec<_>>(),
        "y" => (0..n).map(|i| if i * 37 % 101 > 40 { "yes" } else { "no" }).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn models() -> Vec<FittedModel> {
    let df = frame();
    let inputs = df.drop("y").unwrap();
    let piped = Pipeline::new()
        .with(StandardScaler::new(Select::Numeric))
        .with(OneHotEncoder::new("c"))
        .then(LogisticRegression::new());
    let learners: Vec<Box<dyn Estimator>> = vec![
        Box::new(Dummy::new()),
        Box::new(LogisticRegression::new()),
        Box::new(KNeighbors::new()),
        Box::new(GaussianNb::new()),
        Box::new(DecisionTree::new()),
        Box::new(RandomForest::new().with_n_estimators(3)),
        Box::new(LightGbm::new().with_n_estimators(3).with_min_child_samples(5)),
        Box::new(piped),
    ];
    let mut models: Vec<FittedModel> =
        learners.iter().map(|learner| learner.fit(&df, "y").unwrap()).collect();
    let logistic = models[1].clone();
    models.push(calibrate(&logistic, &df, Calibration::Isotonic).unwrap());
    models.push(KMeans::new().with_n_clusters(3).fit(&inputs).unwrap());
    models.push(Pca::new().fit(&inputs).unwrap());
    models.push(IsolationForest::new().fit(&inputs).unwrap());
    models
}

/// The published stream of `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Changes a few bytes, mostly to values that matter, and puts a right checksum below.
fn change(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes[..bytes.len() - 32].to_vec();
    for _ in 0..=random.below(3) {
        // The first bytes say that it is a model; they are the format's business.
        let place = 20 + random.below(changed.len() - 20);
        changed[place] = match random.below(4) {
            0 => b'0' + random.below(10) as u8,
            1 => changed[place] ^ (1 << random.below(8)),
            2 => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            _ => changed[20 + random.below(changed.len() - 20)],
        };
    }
    let checksum = Sha256::digest(&changed);
    changed.extend_from_slice(&checksum);
    changed
}

/// Everything a person might ask of a loaded model.
fn used(bytes: &[u8], df: &DataFrame) -> Result<()> {
    let model = FittedModel::from_bytes(bytes)?;
    let _ = (format!("{model:?}"), model.importance(), model.coefficients(), model.history());
    let _ = (model.predict(df), model.predict_proba(df), model.evaluate(df), model.transform(df));
    let _ = (model.predict(&df.head(Some(1))), model.shap_values(df), model.to_bytes());
    Ok(())
}

#[test]
fn changed_files_are_errors_or_models_and_never_panics() {
    let df = frame();
    let mut random = Random(7);
    let (mut refused, mut taken) = (0, 0);
    for model in models() {
        let bytes = model.to_bytes().unwrap();
        for round in 0..400 {
            let changed = change(&bytes, &mut random);
            match catch_unwind(AssertUnwindSafe(|| used(&changed, &df))) {
                Ok(Ok(())) => taken += 1,
                Ok(Err(_)) => refused += 1,
                Err(_) => panic!("{}, change {round}", model.learner()),
            }
        }
    }
    assert!(refused > 500 && taken > 500, "{refused} refused, {taken} taken");
}

#[test]
fn a_cut_section_or_a_wrong_kind_is_named() {
    let model = LogisticRegression::new().fit(&frame(), "y").unwrap();
    let bytes = model.to_bytes().unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\"kind\":\"logistic\""));
    let place = text.find("\"kind\":\"logistic\"").unwrap() + "\"kind\":\"".len();
    let mut changed = bytes[..bytes.len() - 32].to_vec();
    changed[place..place + 8].copy_from_slice(b"mystical");
    let checksum = Sha256::digest(&changed);
    changed.extend_from_slice(&checksum);
    let error = FittedModel::from_bytes(&changed).unwrap_err().to_string();
    assert!(error.contains("no learner of kind `mystical`"), "{error}");
}
