//! Agreement with numpy, scipy and scikit-learn to 1e-9; see `golden/generate.py`.

use oxilab_data::transform::{Fitted, Step, Strategy};
use oxilab_data::{
    Binner, HashingVectorizer, Imputer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, Pca,
    PolynomialFeatures, QuantileTransformer, RobustScaler, Select, StandardScaler, TargetEncoder,
    TfidfVectorizer, datasets, profile, stats,
};
use polars::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../golden/golden.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(own: &[f64], golden: &[f64]) {
    assert_eq!(own.len(), golden.len());
    for (index, (own, golden)) in own.iter().zip(golden).enumerate() {
        let tolerance = 1e-9 * golden.abs().max(1.0);
        assert!((own - golden).abs() <= tolerance, "value {index}: {own} and not {golden}");
    }
}

/// Values row by row, as numpy ravels them.
fn ravel(df: &DataFrame) -> Vec<f64> {
    let columns: Vec<Vec<f64>> = df
        .columns()
        .iter()
        .map(|c| {
            c.cast(&DataType::Float64).unwrap().f64().unwrap().iter().map(Option::unwrap).collect()
        })
        .collect();
    (0..df.height()).flat_map(|row| columns.iter().map(move |c| c[row])).collect()
}

fn every_other(df: &DataFrame, first: u32) -> DataFrame {
    let count = u32::try_from(df.height()).unwrap();
    let rows: Vec<u32> = (first..count).step_by(2).collect();
    df.take(&IdxCa::from_vec("".into(), rows)).unwrap()
}

/// Fits on even rows of iris and transforms odd ones, as the generator does.
fn on_iris(step: &impl Step) -> DataFrame {
    let iris = datasets::iris().unwrap().drop("species").unwrap();
    let fitted = step.fit(&every_other(&iris, 0)).unwrap();
    fitted.transform(&every_other(&iris, 1)).unwrap()
}

#[test]
fn profile_agrees_with_numpy_and_scipy() {
    let golden = golden();
    let df = datasets::diabetes().unwrap();
    let found = profile(&df).unwrap();
    for column in &found.columns {
        let expected = &golden["diabetes"]["columns"][&column.name];
        let own = column.numbers.as_ref().unwrap();
        for (own, name) in [
            (own.mean, "mean"),
            (own.std, "std"),
            (own.skewness, "skewness"),
            (own.kurtosis, "kurtosis"),
        ] {
            close(&[own], &[expected[name].as_f64().unwrap()]);
        }
        close(&own.quantiles, &numbers(&expected["quantiles"]));
    }
    close(&found.correlations.pearson, &numbers(&golden["diabetes"]["pearson"]));
    close(&found.correlations.spearman, &numbers(&golden["diabetes"]["spearman"]));
}

#[test]
fn correlations_with_gaps_are_those_of_complete_pairs() {
    let x = [1.0, f64::NAN, 3.0, 4.0, 7.0, 2.0];
    let y = [2.0, 5.0, f64::NAN, 3.0, 9.0, 2.5];
    let df = df!("x" => x, "y" => y).unwrap();
    let found = profile(&df).unwrap();
    let pairs = ([1.0, 4.0, 7.0, 2.0], [2.0, 3.0, 9.0, 2.5]);
    close(&[found.correlations.pearson[1]], &[stats::pearson(&pairs.0, &pairs.1)]);
    close(&[found.correlations.spearman[1]], &[stats::spearman(&pairs.0, &pairs.1)]);
}

#[test]
fn tests_of_distributions_agree_with_scipy() {
    let golden = &golden()["tests"];
    let iris = datasets::iris().unwrap();
    let lengths: Vec<f64> =
        iris.column("sepal_length").unwrap().f64().unwrap().iter().flatten().collect();
    let (statistic, p) = stats::kolmogorov_smirnov(&lengths[..50], &lengths[50..]);
    close(
        &[statistic, p],
        &[golden["ks_statistic"].as_f64().unwrap(), golden["ks_pvalue"].as_f64().unwrap()],
    );
    let (statistic, p) = stats::chi_squared(&[18.0, 22.0, 39.0, 21.0], &[25.0; 4]);
    close(&[statistic, p], &numbers(&golden["chi_squared"]));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers"
    )]
    let bins: Vec<u32> =
        numbers(&golden["petal_length_bins"]).iter().map(|bin| *bin as u32).collect();
    let species: Vec<u32> = (0..150).map(|row| row / 50).collect();
    close(&[stats::cramers_v(&bins, &species)], &[golden["cramers_v"].as_f64().unwrap()]);
}

#[test]
fn scalers_and_binners_agree_with_scikit_learn() {
    let golden = &golden()["transform"];
    let all = Select::Numeric;
    close(&ravel(&on_iris(&StandardScaler::new(all.clone()))), &numbers(&golden["StandardScaler"]));
    close(&ravel(&on_iris(&MinMaxScaler::new(all.clone()))), &numbers(&golden["MinMaxScaler"]));
    close(&ravel(&on_iris(&RobustScaler::new(all.clone()))), &numbers(&golden["RobustScaler"]));
    close(&ravel(&on_iris(&Binner::new(all.clone(), 5))), &numbers(&golden["Binner"]));
    close(
        &ravel(&on_iris(&Binner::new(all, 5).with_even_width())),
        &numbers(&golden["BinnerEven"]),
    );
}

#[test]
fn quantiles_agree_with_scikit_learn_and_ties_go_to_the_middle() {
    let golden = &golden()["transform"];
    let jitter: Vec<f64> = (0..150).map(|row| f64::from(row) * 1e-4).collect();
    let jitter = Column::new("jitter".into(), jitter);
    let iris = datasets::iris().unwrap().drop("species").unwrap();
    let apart = iris.columns().iter().map(|c| (c + &jitter).unwrap().with_name(c.name().clone()));
    let apart = DataFrame::new_infer_height(apart.collect()).unwrap();
    let even = QuantileTransformer::new(Select::Numeric);
    for (step, name) in
        [(even.clone(), "QuantileTransformer"), (even.with_normal(), "QuantileNormal")]
    {
        let fitted = step.fit(&every_other(&apart, 0)).unwrap();
        close(&ravel(&fitted.transform(&every_other(&apart, 1)).unwrap()), &numbers(&golden[name]));
    }
    let ties = df!("x" => [1.0, 2.0, 2.0, 2.0, 3.0]).unwrap();
    let fitted = QuantileTransformer::new("x").fit(&ties).unwrap();
    close(&ravel(&fitted.transform(&ties).unwrap()), &[0.0, 0.5, 0.5, 0.5, 1.0]);
}

#[test]
fn components_and_products_agree_with_scikit_learn() {
    let golden = &golden()["transform"];
    let iris = every_other(&datasets::iris().unwrap().drop("species").unwrap(), 0);
    let pca = Pca::new(Select::Numeric, 3);
    close(&ravel(&on_iris(&pca)), &numbers(&golden["Pca"]));
    let Fitted::Pca(fitted) = pca.fit(&iris).unwrap() else { panic!("not a PCA") };
    close(fitted.explained_variance_ratio(), &numbers(&golden["PcaRatio"]));
    let products = on_iris(&PolynomialFeatures::new(Select::Numeric).with_degree(3));
    let names: Vec<Value> = products.get_column_names().iter().map(|n| n.as_str().into()).collect();
    assert_eq!(Value::from(names), golden["PolynomialNames"]);
    close(&ravel(&products), &numbers(&golden["PolynomialFeatures"]));
}

#[test]
fn imputers_agree_with_scikit_learn() {
    let golden = &golden()["transform"];
    let iris = every_other(&datasets::iris().unwrap().drop("species").unwrap(), 0);
    let gap = |column: &Column| -> Column {
        let values = column.f64().unwrap().iter().enumerate();
        let values: Vec<Option<f64>> =
            values.map(|(row, v)| if row % 7 == 0 { None } else { v }).collect();
        Column::new(column.name().clone(), values)
    };
    let gaps = DataFrame::new_infer_height(iris.columns().iter().map(gap).collect()).unwrap();
    for (strategy, name) in [
        (Strategy::Mean, "Imputer_mean"),
        (Strategy::Median, "Imputer_median"),
        (Strategy::MostFrequent, "Imputer_most_frequent"),
    ] {
        let filled = Imputer::new(Select::Numeric).with_strategy(strategy).fit(&gaps).unwrap();
        let filled = filled.transform(&gaps).unwrap();
        assert_eq!(filled.null_count().row_sum(), 0);
        close(&ravel(&filled.head(Some(1))), &numbers(&golden[name]));
    }
}

trait RowSum {
    fn row_sum(&self) -> u32;
}

impl RowSum for DataFrame {
    fn row_sum(&self) -> u32 {
        self.columns().iter().map(|c| c.u32().unwrap().sum().unwrap_or(0)).sum()
    }
}

#[test]
fn encoders_agree_with_scikit_learn() {
    let golden = &golden()["transform"];
    let species = datasets::iris().unwrap().select(["species"]).unwrap();
    let ordinal =
        OrdinalEncoder::new("species").fit(&species).unwrap().transform(&species).unwrap();
    close(&ravel(&ordinal), &numbers(&golden["OrdinalEncoder"]));
    let hot = OneHotEncoder::new("species").fit(&species).unwrap().transform(&species).unwrap();
    close(&ravel(&hot), &numbers(&golden["OneHotEncoder"]));

    let groups: Vec<String> = golden["TargetGroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect();
    let wine = datasets::wine().unwrap();
    let cultivar = wine.column("cultivar").unwrap().str().unwrap();
    let goal: Vec<i32> = cultivar.iter().map(|v| i32::from(v == Some("class_1"))).collect();
    let df = df!("group" => groups, "goal" => goal).unwrap();
    let fitted = TargetEncoder::new("group", "goal").with_smoothing(3.0).fit(&df).unwrap();
    let encoded = fitted.transform(&df).unwrap().select(["group"]).unwrap();
    close(&ravel(&encoded), &numbers(&golden["TargetEncoder"]));
}

#[test]
fn vectorizers_agree_with_scikit_learn() {
    let golden = &golden()["transform"];
    let texts: Vec<String> = golden["Texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect();
    let df = df!("t" => texts).unwrap();
    let fitted = TfidfVectorizer::new("t").fit(&df.head(Some(3))).unwrap();
    let out = fitted.transform(&df).unwrap();
    let names: Vec<Value> =
        out.get_column_names().iter().map(|n| n.strip_prefix("t_").unwrap().into()).collect();
    assert_eq!(Value::from(names), golden["TfidfTop"]);
    close(&ravel(&out), &numbers(&golden["TfidfVectorizer"]));
    let hashed = HashingVectorizer::new("t", 16).fit(&df).unwrap().transform(&df).unwrap();
    close(&ravel(&hashed), &numbers(&golden["HashingVectorizer"]));
}
