"""Writes the golden files of oxilab-model's tests from scikit-learn, LightGBM, XGBoost, shap and Optuna.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install scikit-learn lightgbm xgboost-cpu shap optuna pandas
    /tmp/venv/bin/python prelude/model/golden/generate.py [xgboost.json …]

`rust_breast_cancer.txt` and `rust_breast_cancer.json` are the other way round: models that oxilab trained
(`OXILAB_WRITE_GOLDEN=1 cargo test --release -p oxilab-model`), which Python loads and predicts with here.
"""

import json
import pathlib
import sys
import warnings

import lightgbm as lgb
import numpy as np
import optuna
import pandas as pd
import sklearn
import xgboost as xgb
from sklearn import (
    cluster,
    compose,
    decomposition,
    dummy,
    ensemble,
    impute,
    inspection,
    linear_model,
    metrics,
    naive_bayes,
    neighbors,
    pipeline,
    tree,
)
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import OneHotEncoder, StandardScaler

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
HERE = pathlib.Path(__file__).parent
DATA = HERE.parent.parent / "data" / "datasets"
rng = np.random.default_rng(7)


def listed(value):
    return np.asarray(value, dtype=float).tolist()


def frame(name):
    path = DATA / f"{name}.csv"
    return pd.read_csv(path if path.exists() else DATA / f"{name}.csv.gz")


def classification():
    cases = []
    for classes, weighted in [(2, False), (2, True), (4, False), (4, True)]:
        n = 60
        t = rng.integers(0, classes, n)
        p = np.where(rng.random(n) < 0.6, t, rng.integers(0, classes, n))
        w = rng.random(n) + 0.1 if weighted else None
        proba = rng.dirichlet(np.ones(classes), n)
        proba = np.round(proba, 2)  # makes ties
        proba = proba / proba.sum(axis=1, keepdims=True)
        out = {
            "accuracy": metrics.accuracy_score(t, p, sample_weight=w),
            "balanced_accuracy": metrics.balanced_accuracy_score(t, p, sample_weight=w),
            "matthews_corrcoef": metrics.matthews_corrcoef(t, p, sample_weight=w),
            "cohen_kappa": metrics.cohen_kappa_score(t, p, sample_weight=w),
            "log_loss": metrics.log_loss(t, proba, sample_weight=w),
            "confusion": listed(metrics.confusion_matrix(t, p, sample_weight=w)),
        }
        averages = ["micro", "macro", "weighted"] + (["binary"] if classes == 2 else [])
        for average in averages:
            opts = {"average": average, "sample_weight": w}
            out[f"precision_{average}"] = metrics.precision_score(t, p, **opts)
            out[f"recall_{average}"] = metrics.recall_score(t, p, **opts)
            out[f"f1_{average}"] = metrics.f1_score(t, p, **opts)
            out[f"f2_{average}"] = metrics.fbeta_score(t, p, beta=2, **opts)
            out[f"jaccard_{average}"] = metrics.jaccard_score(t, p, **opts)
        if classes == 2:
            s = proba[:, 1]
            out["roc_auc"] = metrics.roc_auc_score(t, s, sample_weight=w)
            out["average_precision"] = metrics.average_precision_score(t, s, sample_weight=w)
            out["brier_score"] = metrics.brier_score_loss(t, s, sample_weight=w)
        else:
            out["top_2"] = metrics.top_k_accuracy_score(t, proba, k=2)
            out["roc_auc_ovr"] = metrics.roc_auc_score(t, proba, multi_class="ovr")
            out["roc_auc_ovr_weighted"] = metrics.roc_auc_score(
                t, proba, multi_class="ovr", average="weighted"
            )
            out["roc_auc_ovo"] = metrics.roc_auc_score(t, proba, multi_class="ovo")
        cases.append(
            {
                "truth": t.tolist(),
                "predicted": p.tolist(),
                "weights": None if w is None else listed(w),
                "classes": classes,
                "probabilities": listed(proba.ravel()),
                "expected": out,
            }
        )
    return cases


def regression():
    cases = []
    for weighted in [False, True]:
        t = rng.gamma(2.0, 3.0, 50)
        p = t * rng.lognormal(0, 0.3, 50)
        w = rng.random(50) + 0.1 if weighted else None
        o = {"sample_weight": w}
        out = {
            "mse": metrics.mean_squared_error(t, p, **o),
            "rmse": metrics.root_mean_squared_error(t, p, **o),
            "mae": metrics.mean_absolute_error(t, p, **o),
            "mape": metrics.mean_absolute_percentage_error(t, p, **o),
            "msle": metrics.mean_squared_log_error(t, p, **o),
            "r2": metrics.r2_score(t, p, **o),
            "explained_variance": metrics.explained_variance_score(t, p, **o),
            "pinball": metrics.mean_pinball_loss(t, p, alpha=0.2, **o),
            "poisson": metrics.mean_poisson_deviance(t, p, **o),
            "gamma": metrics.mean_gamma_deviance(t, p, **o),
            "median": metrics.median_absolute_error(t, p),
            "max": metrics.max_error(t, p),
        }
        cases.append(
            {
                "truth": listed(t),
                "predicted": listed(p),
                "weights": None if w is None else listed(w),
                "expected": {k: float(v) for k, v in out.items()},
            }
        )
    return cases


def ranking():
    cases = []
    for k in [None, 3]:
        rel = rng.integers(0, 4, 8)
        score = np.round(rng.random(8), 1)
        hit = rng.random(8) < 0.4
        hit[0] = True
        cases.append(
            {
                "relevance": listed(rel),
                "scores": listed(score),
                "relevant": [bool(v) for v in hit],
                "k": k,
                "expected": {
                    "dcg": metrics.dcg_score([rel], [score], k=k),
                    "ndcg": metrics.ndcg_score([rel], [score], k=k),
                    "lrap": metrics.label_ranking_average_precision_score([hit], [score]),
                    "coverage": metrics.coverage_error([hit], [score]),
                    "loss": metrics.label_ranking_loss([hit], [score]),
                },
            }
        )
    return cases


def clustering():
    t = rng.integers(0, 3, 80)
    p = np.where(rng.random(80) < 0.6, t, rng.integers(0, 4, 80))
    x = rng.normal(size=(80, 3)) + p[:, None]
    h, c, v = metrics.homogeneity_completeness_v_measure(t, p)
    return {
        "truth": t.tolist(),
        "predicted": p.tolist(),
        "x": listed(x.T),
        "expected": {
            "adjusted_rand": metrics.adjusted_rand_score(t, p),
            "rand": metrics.rand_score(t, p),
            "nmi": metrics.normalized_mutual_info_score(t, p),
            "ami": metrics.adjusted_mutual_info_score(t, p),
            "fowlkes_mallows": metrics.fowlkes_mallows_score(t, p),
            "homogeneity": h,
            "completeness": c,
            "v_measure": v,
            "silhouette": float(metrics.silhouette_score(x, p)),
            "calinski_harabasz": float(metrics.calinski_harabasz_score(x, p)),
            "davies_bouldin": float(metrics.davies_bouldin_score(x, p)),
        },
    }


def multilabel():
    t = rng.random((30, 4)) < 0.4
    p = t ^ (rng.random((30, 4)) < 0.2)
    t[0] = p[0] = False
    out = {"subset": metrics.accuracy_score(t, p), "hamming": metrics.hamming_loss(t, p)}
    for average in ["micro", "macro", "weighted", "samples"]:
        o = {"average": average, "zero_division": 0}
        out[f"precision_{average}"] = metrics.precision_score(t, p, **o)
        out[f"recall_{average}"] = metrics.recall_score(t, p, **o)
        out[f"f1_{average}"] = metrics.f1_score(t, p, **o)
        out[f"jaccard_{average}"] = metrics.jaccard_score(t, p, **o)
    return {"truth": t.tolist(), "predicted": p.tolist(), "expected": out}


def learners():
    out = {}
    df = frame("diabetes")
    x, y = df.drop(columns="progression"), df["progression"]
    z = StandardScaler().fit_transform(x)
    for name, model in {
        "LinearRegression": linear_model.LinearRegression(),
        "Ridge": linear_model.Ridge(alpha=2.0),
        "Lasso": linear_model.Lasso(alpha=1.5, tol=1e-12, max_iter=100000),
        "ElasticNet": linear_model.ElasticNet(alpha=0.5, l1_ratio=0.3, tol=1e-12, max_iter=100000),
        "KNeighbors": neighbors.KNeighborsRegressor(n_neighbors=7, algorithm="brute"),
    }.items():
        out[name] = listed(model.fit(z, y).predict(z)[:40])
    df = frame("wine")
    x, y = df.drop(columns="cultivar"), df["cultivar"]
    z = StandardScaler().fit_transform(x)
    model = linear_model.LogisticRegression(C=0.5, tol=1e-10, max_iter=10000).fit(z, y)
    out["LogisticRegression"] = listed(model.predict_proba(z).ravel())
    out["GaussianNb"] = listed(naive_bayes.GaussianNB().fit(x, y).predict_proba(x).ravel())
    model = neighbors.KNeighborsClassifier(5, weights="distance").fit(z[::2], y[::2])
    out["KNeighborsDistance"] = listed(model.predict_proba(z[1::2]).ravel())
    pca = decomposition.PCA(3).fit(z)
    out["Pca"] = listed(pca.transform(z).T.ravel())
    out["PcaRatio"] = listed(pca.explained_variance_ratio_)
    out["KMeansInertia"] = float(cluster.KMeans(3, n_init=20, random_state=0).fit(z).inertia_)
    out["Dbscan"] = cluster.DBSCAN(eps=2.2, min_samples=5).fit_predict(z).tolist()
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), (df["diagnosis"] == "malignant").astype(int)
    z = StandardScaler().fit_transform(x)
    model = linear_model.LogisticRegression(
        C=1.0, class_weight="balanced", tol=1e-10, max_iter=10000
    ).fit(z, y)
    out["LogisticBalanced"] = listed(model.predict_proba(z)[:, 1])
    return out


def mixed():
    """A table with numbers, categories and missing values; the Rust test reads it as CSV."""
    n = 600
    colour = rng.choice(["blue", "green", "red", "white"], n)
    size = rng.normal(10, 3, n)
    age = rng.integers(18, 80, n).astype(float)
    age[rng.random(n) < 0.1] = np.nan
    lift = {"blue": 1.0, "green": -1.0, "red": 2.0, "white": 0.0}
    price = 3 * size + np.nan_to_num(age, nan=40) * 0.2 + np.vectorize(lift.get)(colour) * 4
    price += rng.normal(0, 1, n)
    df = pd.DataFrame({"colour": colour, "size": size, "age": age, "price": price})
    df.to_csv(HERE / "mixed.csv", index=False)
    return pd.read_csv(HERE / "mixed.csv")


def lightgbm_models():
    import shap

    out = {"version": lgb.__version__}
    base = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0}
    df = mixed()
    x = df.drop(columns="price").copy()
    x["colour"] = x["colour"].map({"blue": 0, "green": 1, "red": 2, "white": 3})
    data = lgb.Dataset(x, df["price"], categorical_feature=["colour"])
    params = base | {"objective": "regression", "num_leaves": 15, "monotone_constraints": [0, 1, 0]}
    model = lgb.train(params, data, 40)
    model.save_model(HERE / "python_mixed.txt")
    out["mixed"] = listed(model.predict(x))
    out["mixed_shap"] = listed(shap.TreeExplainer(model).shap_values(x)[:50].ravel())
    out["mixed_gain"] = listed(model.feature_importance("gain"))
    df = frame("wine")
    x, y = df.drop(columns="cultivar"), df["cultivar"].str[-1].astype(int)
    model = lgb.train(base | {"objective": "multiclass", "num_class": 3}, lgb.Dataset(x, y), 20)
    model.save_model(HERE / "python_wine.txt")
    out["wine"] = listed(model.predict(x).ravel())
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), (df["diagnosis"] == "malignant").astype(int)
    train, valid = lgb.Dataset(x[:400], y[:400]), lgb.Dataset(x[400:], y[400:])
    valid.reference = train
    history = {}
    model = lgb.train(
        base | {"objective": "binary", "learning_rate": 0.2},
        train,
        300,
        valid_sets=[valid],
        callbacks=[lgb.early_stopping(10, verbose=False), lgb.record_evaluation(history)],
    )
    out["early_best"] = model.best_iteration
    out["early_history"] = history["valid_0"]["binary_logloss"]
    out["early"] = listed(model.predict(x[400:]))
    rust = HERE / "rust_breast_cancer.txt"
    if rust.exists():
        out["rust"] = listed(lgb.Booster(model_file=str(rust)).predict(x))
    return out


def xgboost_models():
    out = {"version": xgb.__version__}
    df = pd.read_csv(HERE / "mixed.csv")
    x = df.drop(columns="price").copy()
    x["colour"] = x["colour"].map({"blue": 0, "green": 1, "red": 2, "white": 3})
    kinds = {"feature_types": ["c", "float", "float"], "enable_categorical": True}
    data = xgb.DMatrix(x, df["price"], **kinds)
    params = {"objective": "reg:squarederror", "max_depth": 4, "monotone_constraints": "(0,1,0)", "seed": 0}
    model = xgb.train(params, data, 40)
    model.save_model(HERE / "python_mixed.json")
    out["mixed"] = listed(model.predict(data))
    out["mixed_shap"] = listed(model.predict(data, pred_contribs=True)[:50].ravel())
    gain = model.get_score(importance_type="total_gain")
    out["mixed_gain"] = [gain.get(name, 0.0) for name in x.columns]
    df = frame("wine")
    x, y = df.drop(columns="cultivar"), df["cultivar"].str[-1].astype(int)
    for name, objective in [("python_wine.ubj", "multi:softprob"), ("python_wine_softmax.ubj", "multi:softmax")]:
        model = xgb.train({"objective": objective, "num_class": 3, "seed": 0}, xgb.DMatrix(x, y), 10)
        model.save_model(HERE / name)
        if objective == "multi:softprob":
            out["wine"] = listed(model.predict(xgb.DMatrix(x)).ravel())
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), (df["diagnosis"] == "malignant").astype(int)
    train, valid = xgb.DMatrix(x[:400], y[:400]), xgb.DMatrix(x[400:], y[400:])
    history = {}
    model = xgb.train(
        {"objective": "binary:logistic", "learning_rate": 0.2, "seed": 0},
        train,
        300,
        evals=[(valid, "valid")],
        early_stopping_rounds=10,
        evals_result=history,
        verbose_eval=False,
    )
    out["early_best"] = model.best_iteration + 1
    out["early_history"] = history["valid"]["logloss"]
    out["early"] = listed(model.predict(valid, iteration_range=(0, model.best_iteration + 1)))
    weights = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))
    model = xgb.train({"objective": "binary:logistic", "seed": 0}, xgb.DMatrix(x, y, weight=weights), 15)
    out["balanced"] = listed(model.predict(xgb.DMatrix(x)))
    rust = HERE / "rust_breast_cancer.json"
    if rust.exists():
        model = xgb.Booster(model_file=str(rust))
        out["rust"] = listed(model.predict(xgb.DMatrix(x)))
        out["rust_features"] = model.feature_names
    return out


def same_for_every_seed(make, predict):
    """A tree whose splits leave nothing to chance: scikit-learn draws among equal ones."""
    found = [listed(predict(make(seed))) for seed in range(5)]
    assert all(np.allclose(other, found[0], rtol=1e-9) for other in found), "splits tie; choose other data"
    return found[0]


def trees():
    """Rows that the tree has not seen: they fall between the values of the rows of a node. Whole numbers,
    because scikit-learn keeps features in 32 bits, which decides where a value lies on a cut."""
    df = frame("diabetes")
    x, y = (df.drop(columns="progression") * 10000).round(), df["progression"]
    return {
        "sklearn": sklearn.__version__,
        "DecisionTree": same_for_every_seed(
            lambda seed: tree.DecisionTreeRegressor(
                max_depth=4, min_samples_leaf=10, random_state=seed
            ).fit(x[:240], y[:240]),
            lambda model: model.predict(x[240:]),
        ),
    }


def weights(n):
    """What row i counts; the Rust test computes the same. Exact in 32 bits."""
    return 0.5 + np.arange(n) * 7 % 10 / 4


def weighted():
    out = {"sklearn": sklearn.__version__, "lightgbm": lgb.__version__, "xgboost": xgb.__version__}
    df = frame("diabetes")
    x, y = df.drop(columns="progression"), df["progression"]
    z, w = StandardScaler().fit_transform(x), weights(len(df))
    exact = {"tol": 1e-12, "max_iter": 100000}
    for name, model in {
        "LinearRegression": linear_model.LinearRegression(),
        "Ridge": linear_model.Ridge(alpha=2.0),
        "Lasso": linear_model.Lasso(alpha=1.5, **exact),
        "ElasticNet": linear_model.ElasticNet(alpha=0.5, l1_ratio=0.3, **exact),
        "Dummy": dummy.DummyRegressor(),
    }.items():
        out[name] = listed(model.fit(z, y, sample_weight=w).predict(z)[:40])
    # More features than rows.
    few, w = slice(0, 8), weights(8)
    model = linear_model.Ridge(alpha=2.0).fit(x[few], y[few], sample_weight=w)
    out["RidgeOfFewRows"] = listed(model.predict(x[few]))
    df = frame("wine")
    x, y, w = df.drop(columns="cultivar"), df["cultivar"], weights(len(df))
    z = StandardScaler().fit_transform(x)
    model = linear_model.LogisticRegression(C=0.5, tol=1e-10, max_iter=10000)
    out["LogisticRegression"] = listed(model.fit(z, y, sample_weight=w).predict_proba(z).ravel())
    model = naive_bayes.GaussianNB().fit(x, y, sample_weight=w)
    out["GaussianNb"] = listed(model.predict_proba(x).ravel())
    model = dummy.DummyClassifier(strategy="prior").fit(x, y, sample_weight=w)
    out["DummyClassifier"] = listed(model.predict_proba(x)[0])
    number = df["alcohol"]
    rest = x.drop(columns="alcohol")
    out["DecisionTree"] = same_for_every_seed(
        lambda seed: tree.DecisionTreeRegressor(max_depth=3, random_state=seed).fit(rest, number, sample_weight=w),
        lambda model: model.predict(rest),
    )
    out["DecisionTreeClassifier"] = same_for_every_seed(
        lambda seed: tree.DecisionTreeClassifier(max_depth=2, random_state=seed).fit(x, y, sample_weight=w),
        lambda model: model.predict_proba(x).ravel(),
    )
    heavy = np.where(y == "class_2", 20.0, 1.0)
    for name, make in {"RandomForest": ensemble.RandomForestClassifier, "ExtraTrees": ensemble.ExtraTreesClassifier}.items():
        model = make(400, max_depth=2, random_state=0).fit(x, y, sample_weight=heavy)
        out[name] = listed(model.predict_proba(x).ravel())
    model = cluster.KMeans(3, n_init=20, random_state=0, tol=1e-12).fit(z, sample_weight=w)
    out["KMeansInertia"] = float(model.inertia_)
    out["Dbscan"] = cluster.DBSCAN(eps=2.2, min_samples=5).fit_predict(z, sample_weight=w).tolist()
    df = frame("breast_cancer")
    x, y, w = df.drop(columns="diagnosis"), (df["diagnosis"] == "malignant").astype(int), weights(len(df))
    z = StandardScaler().fit_transform(x)
    model = linear_model.LogisticRegression(class_weight="balanced", tol=1e-10, max_iter=10000)
    out["LogisticBalanced"] = listed(model.fit(z, y, sample_weight=w).predict_proba(z)[:, 1])
    cut, history = 400, {}
    train = lgb.Dataset(x[:cut], y[:cut], weight=w[:cut])
    valid = lgb.Dataset(x[cut:], y[cut:], weight=w[cut:], reference=train)
    params = {"objective": "binary", "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0}
    model = lgb.train(params, train, 30, valid_sets=[valid], callbacks=[lgb.record_evaluation(history)])
    out["LightGbm"] = listed(model.predict(x))
    out["LightGbmHistory"] = history["valid_0"]["binary_logloss"]
    history = {}
    train = xgb.DMatrix(x[:cut], y[:cut], weight=w[:cut])
    valid = xgb.DMatrix(x[cut:], y[cut:], weight=w[cut:])
    params = {"objective": "binary:logistic", "learning_rate": 0.2, "seed": 0}
    model = xgb.train(params, train, 30, evals=[(valid, "valid")], evals_result=history, verbose_eval=False)
    out["XgBoost"] = listed(model.predict(xgb.DMatrix(x)))
    out["XgBoostHistory"] = history["valid"]["logloss"]
    return out


def dependence():
    """Partial dependence, single curves and the permutation importance of models that both sides have."""
    out = {"sklearn": sklearn.__version__}

    def curve(name, model, x, column, **options):
        found = inspection.partial_dependence(model, x, [column], kind="both", method="brute", **options)
        grid = found["grid_values"][0]
        out[name] = {
            "column": column,
            "grid": [value if isinstance(value, str) else float(value) for value in grid],
            "mean": listed(found["average"][0]),
            "rows": listed(found["individual"][0][:10]),
        }

    df = frame("diabetes")
    x, y = df.drop(columns="progression"), df["progression"]
    knn = neighbors.KNeighborsRegressor(n_neighbors=7, algorithm="brute")
    knn = pipeline.make_pipeline(StandardScaler(), knn).fit(x, y)
    curve("neighbors", knn, x, "bmi", grid_resolution=20)
    curve("few_values", knn, x, "sex")
    found = inspection.permutation_importance(knn, x, y, scoring="r2", n_repeats=100, random_state=0)
    out["importance"] = {
        name: [float(mean), float(std)]
        for name, mean, std in zip(x.columns, found.importances_mean, found.importances_std)
    }
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), df["diagnosis"]
    logistic = linear_model.LogisticRegression(tol=1e-10, max_iter=10000)
    logistic = pipeline.make_pipeline(StandardScaler(), logistic).fit(x, y)
    curve("logistic", logistic, x, "mean_texture", grid_resolution=15)
    df = pd.read_csv(HERE / "mixed.csv")
    x, y = df.drop(columns="price"), df["price"]
    parts = compose.make_column_transformer(
        (OneHotEncoder(), ["colour"]), (impute.SimpleImputer(), ["size", "age"])
    )
    linear = pipeline.make_pipeline(parts, linear_model.LinearRegression()).fit(x, y)
    curve("categories", linear, x, "colour", categorical_features=["colour"])
    return out


def calibration():
    """A model of every second row, corrected on the others. Ours sees log-odds up to ±27 only; with this
    penalty none lies beyond."""
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), df["diagnosis"]
    logistic = linear_model.LogisticRegression(C=0.005, tol=1e-10, max_iter=10000)
    logistic = pipeline.make_pipeline(StandardScaler(), logistic).fit(x[::2], y[::2])
    out = {"sklearn": sklearn.__version__}
    for method in ["sigmoid", "isotonic"]:
        better = CalibratedClassifierCV(FrozenEstimator(logistic), method=method)
        out[method] = listed(better.fit(x[1::2], y[1::2]).predict_proba(x[1::2])[:, 1])
    share, mean = calibration_curve(y[1::2], logistic.predict_proba(x[1::2])[:, 1], n_bins=10, pos_label="malignant")
    out["curve"] = {"share": listed(share), "mean": listed(mean)}
    return out


def anomalies():
    """How well the scores of an isolation forest part rows that lie apart; seeds differ by some 0.005."""
    df = frame("breast_cancer")
    x, y = df.drop(columns="diagnosis"), df["diagnosis"] == "malignant"
    area = [
        metrics.roc_auc_score(y, -ensemble.IsolationForest(random_state=seed).fit(x).score_samples(x))
        for seed in range(20)
    ]
    scores = -ensemble.IsolationForest(n_estimators=1000, random_state=0).fit(x).score_samples(x)
    return {
        "sklearn": sklearn.__version__,
        "roc_auc": [float(np.mean(area)), float(np.std(area))],
        "scores": listed(scores),
    }


def sphere(x):
    return sum((v - 1.0) ** 2 for v in x)


def branin(x):
    a, b = x
    b2, c, t = 5.1 / (4 * np.pi**2), 5 / np.pi, 1 / (8 * np.pi)
    return (b - b2 * a * a + c * a - 6) ** 2 + 10 * (1 - t) * np.cos(a) + 10


def rosenbrock(x):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(len(x) - 1))


def tpe():
    """Of 400 studies: the median of 100 scatters by a tenth."""
    out = {"trials": 60, "studies": 400}
    spaces = {
        "sphere": (sphere, [(-5, 5)] * 4),
        "branin": (branin, [(-5, 10), (0, 15)]),
        "rosenbrock": (rosenbrock, [(-2, 2)] * 3),
    }
    for name, (f, bounds) in spaces.items():
        best = []
        for seed in range(1000, 1400):
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
            study.optimize(
                lambda t, f=f, bounds=bounds: f(
                    [t.suggest_float(f"x{i}", lo, hi) for i, (lo, hi) in enumerate(bounds)]
                ),
                n_trials=60,
            )
            best.append(study.best_value)
        out[name] = {"median": float(np.median(best)), "quartiles": listed(np.quantile(best, [0.25, 0.75]))}
    return out


def metric_cases():
    return {
        "sklearn": sklearn.__version__,
        "classification": classification(),
        "regression": regression(),
        "ranking": ranking(),
        "clustering": clustering(),
        "multilabel": multilabel(),
    }


FILES = {
    "metrics.json": metric_cases,
    "learners.json": learners,
    "lightgbm.json": lightgbm_models,
    "xgboost.json": xgboost_models,
    "trees.json": trees,
    "weights.json": weighted,
    "calibration.json": calibration,
    "anomalies.json": anomalies,
    "dependence.json": dependence,
    "tpe.json": lambda: {"optuna": optuna.__version__} | tpe(),
}
for name in sys.argv[1:] or FILES:
    (HERE / name).write_text(json.dumps(FILES[name]()) + "\n")
