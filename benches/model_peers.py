"""One task of the model bench in Python: `model_peers.py TASK FOLDER FILE`. Prints seconds and quality."""

import json
import pathlib
import statistics
import sys
import time
import warnings

import numpy as np
import polars as pl
from model_files import parts
from sklearn import cluster, compose, decomposition, ensemble, impute, linear_model, metrics, model_selection
from sklearn import neighbors, pipeline, preprocessing

warnings.filterwarnings("ignore")
THREADS = 2


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def told(seconds, quality, **more):
    print(json.dumps({"seconds": seconds, "quality": float(quality), **more}))


def pandas_parts(path):
    """Frames as their libraries want them, with categories."""
    train, test = (part.to_pandas() for part in parts(path))
    for name in train.select_dtypes(exclude="number").columns.drop("income"):
        train[name] = train[name].astype("category")
        test[name] = test[name].astype(train[name].dtype)
    return train, test


def auc(truth, scores):
    return metrics.roc_auc_score(truth == ">50K", scores)


def lightgbm(path):
    import lightgbm

    train, test = pandas_parts(path)
    x, y = train.drop(columns="income"), (train["income"] == ">50K").astype(int)
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": THREADS, "deterministic": True, "force_row_wise": True}
    seconds, model = timed(lambda: lightgbm.train(parameters, lightgbm.Dataset(x, y), 100))
    told(seconds, auc(test["income"], model.predict(test.drop(columns="income"))))


def xgboost(path):
    import xgboost

    train, test = pandas_parts(path)
    x, y = train.drop(columns="income"), (train["income"] == ">50K").astype(int)
    parameters = {"objective": "binary:logistic", "nthread": THREADS, "tree_method": "hist"}

    def fit():
        return xgboost.train(parameters, xgboost.DMatrix(x, y, enable_categorical=True, nthread=THREADS), 100)

    seconds, model = timed(fit)
    told(seconds, auc(test["income"], model.inplace_predict(test.drop(columns="income"))))


def codes(path):
    """Categories as numbers, encoded before the clock starts: scikit-learn's forests take nothing else."""
    train, test = pandas_parts(path)
    out = []
    for frame in (train, test):
        x = frame.drop(columns="income")
        for name in x.select_dtypes("category").columns:
            x[name] = x[name].cat.codes.replace(-1, np.nan)
        out += [x.to_numpy(float), frame["income"].to_numpy()]
    return out


def forest(kind):
    def task(path):
        x, y, test_x, test_y = codes(path)
        model = kind(n_estimators=100, n_jobs=THREADS, random_state=0)
        seconds, model = timed(lambda: model.fit(x, y))
        told(seconds, auc(test_y, model.predict_proba(test_x)[:, 1]))

    return task


def numbers(path, target="y"):
    train, test = parts(path)
    return [part for frame in (train, test) for part in (frame.drop(target).to_numpy(), frame[target].to_numpy())]


def scaled(model):
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


def knn(path):
    x, y, test_x, test_y = numbers(path)
    model = scaled(neighbors.KNeighborsClassifier(n_jobs=THREADS))
    seconds, predicted = timed(lambda: model.fit(x, y).predict(test_x))
    told(seconds, metrics.accuracy_score(test_y, predicted))


def digits_knn(path):
    x, y, test_x, test_y = numbers(path, "target")
    model = scaled(neighbors.KNeighborsClassifier(n_jobs=THREADS))
    seconds, predicted = timed(lambda: model.fit(x, y).predict(test_x))
    told(seconds, metrics.accuracy_score(test_y, predicted))


def kmeans(path):
    x = numbers(path)[0]
    model = scaled(cluster.KMeans(8, n_init=3, random_state=0))
    seconds, model = timed(lambda: model.fit(x))
    told(seconds, model[-1].inertia_, rounds=model[-1].n_iter_)


def logistic(path):
    x, y, test_x, test_y = numbers(path)
    model = scaled(linear_model.LogisticRegression(tol=1e-6, max_iter=1000))
    seconds, model = timed(lambda: model.fit(x, y))
    told(seconds, metrics.roc_auc_score(test_y == "yes", model.predict_proba(test_x)[:, 1]))


def pca(path):
    x = numbers(path)[0]
    model = scaled(decomposition.PCA(5))
    seconds, model = timed(lambda: model.fit(x))
    told(seconds, model[-1].explained_variance_ratio_.sum())


def one_row(make):
    """The median time of `predict_proba` on a frame of one row, as a service would call it."""

    def task(path):
        train, test = pandas_parts(path)
        x, y = train.drop(columns="income"), train["income"]
        text = x.select_dtypes("category").columns
        number = x.select_dtypes("number").columns
        columns = compose.make_column_transformer(
            (pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), number),
            (preprocessing.OneHotEncoder(handle_unknown="ignore"), text),
        )
        model = pipeline.make_pipeline(columns, make()).fit(x, y)
        rows = [test.drop(columns="income").iloc[[row]] for row in range(50)]
        seconds = [timed(lambda row=row: model.predict_proba(row))[0] for row in rows]
        told(statistics.median(seconds), auc(test["income"], model.predict_proba(test.drop(columns="income"))[:, 1]))

    return task


def tune(path):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    frame = pl.read_parquet(path)
    x, y = frame.drop("target").to_numpy(), frame["target"].to_numpy()
    folds = model_selection.StratifiedKFold(5, shuffle=True, random_state=0)

    def objective(trial):
        model = ensemble.RandomForestClassifier(
            n_estimators=trial.suggest_int("trees", 10, 60),
            max_depth=trial.suggest_int("depth", 1, 8),
            min_samples_leaf=trial.suggest_int("leaf", 1, 20),
            random_state=0,
        )
        return model_selection.cross_val_score(model, x, y, cv=folds, n_jobs=THREADS).mean()

    def run():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(objective, n_trials=100)
        return study.best_value

    told(*timed(run))


TASKS = {
    "lightgbm": lightgbm,
    "xgboost": xgboost,
    "forest": forest(ensemble.RandomForestClassifier),
    "extra-trees": forest(ensemble.ExtraTreesClassifier),
    "knn": knn,
    "knn-digits": digits_knn,
    "kmeans": kmeans,
    "logistic": logistic,
    "pca": pca,
    "row-logistic": one_row(lambda: linear_model.LogisticRegression(max_iter=1000)),
    "row-forest": one_row(lambda: ensemble.RandomForestClassifier(100, n_jobs=1, random_state=0)),
    "tune": tune,
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](pathlib.Path(sys.argv[2]))
