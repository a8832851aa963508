"""Writes golden.json: what numpy, scipy and scikit-learn compute on the built-in data sets.

    python3 generate.py       # needs numpy, scipy, scikit-learn, pandas, openpyxl

Run once; the tests compare with the committed file to 1e-9.
"""

import gzip
import io
import json
import pathlib

import numpy
import pandas
import scipy.stats
import sklearn
from sklearn import decomposition, feature_extraction, impute, preprocessing

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "datasets"


def load(name):
    path = DATA / f"{name}.csv"
    if path.exists():
        return pandas.read_csv(path)
    return pandas.read_csv(io.BytesIO(gzip.decompress((DATA / f"{name}.csv.gz").read_bytes())))


def listed(array):
    return numpy.asarray(array, dtype=float).ravel().tolist()


iris, wine, diabetes = load("iris"), load("wine"), load("diabetes")
golden = {
    "versions": {
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }
}

columns = {}
for name in diabetes.columns:
    x = diabetes[name].to_numpy(float)
    columns[name] = {
        "mean": x.mean(),
        "std": x.std(ddof=1),
        "skewness": scipy.stats.skew(x),
        "kurtosis": scipy.stats.kurtosis(x),
        "quantiles": listed(numpy.quantile(x, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])),
    }
golden["diabetes"] = {
    "columns": columns,
    "pearson": listed(diabetes.corr("pearson")),
    "spearman": listed(diabetes.corr("spearman")),
}

bins = pandas.qcut(iris["petal_length"], 4, labels=False)
table = pandas.crosstab(bins, iris["species"]).to_numpy()
x, y = iris["sepal_length"][:50].to_numpy(), iris["sepal_length"][50:].to_numpy()
observed, expected = [18.0, 22.0, 39.0, 21.0], [25.0, 25.0, 25.0, 25.0]
chi = scipy.stats.chisquare(observed, expected)
golden["tests"] = {
    "cramers_v": scipy.stats.contingency.association(table, method="cramer"),
    "petal_length_bins": listed(bins),
    "ks_statistic": scipy.stats.ks_2samp(x, y).statistic,
    "ks_pvalue": scipy.stats.kstwobign.sf(
        scipy.stats.ks_2samp(x, y).statistic * numpy.sqrt(len(x) * len(y) / (len(x) + len(y)))
    ),
    "chi_squared": [chi.statistic, chi.pvalue],
}

features = iris.drop(columns="species")
train, test = features.iloc[::2], features.iloc[1::2]
scaled = {}
for name, step in {
    "StandardScaler": preprocessing.StandardScaler(),
    "MinMaxScaler": preprocessing.MinMaxScaler(),
    "RobustScaler": preprocessing.RobustScaler(),
    "Binner": preprocessing.KBinsDiscretizer(
        5, encode="ordinal", strategy="quantile", quantile_method="linear"
    ),
    "BinnerEven": preprocessing.KBinsDiscretizer(5, encode="ordinal", strategy="uniform"),
    "Pca": decomposition.PCA(3),
    "PolynomialFeatures": preprocessing.PolynomialFeatures(3, include_bias=False),
}.items():
    fitted = step.fit(train.to_numpy())
    scaled[name] = listed(fitted.transform(test.to_numpy()))
    if name == "Pca":
        scaled["PcaRatio"] = listed(fitted.explained_variance_ratio_)
scaled["PolynomialNames"] = preprocessing.PolynomialFeatures(3, include_bias=False).fit(
    train
).get_feature_names_out().tolist()

# Without ties: among equal values scikit-learn's own rounding decides.
jitter = numpy.arange(150)[:, None] * 1e-4
apart = features.to_numpy() + jitter
for name, step in {
    "QuantileTransformer": preprocessing.QuantileTransformer(n_quantiles=75),
    "QuantileNormal": preprocessing.QuantileTransformer(n_quantiles=75, output_distribution="normal"),
}.items():
    scaled[name] = listed(step.fit(apart[::2]).transform(apart[1::2]))

gaps = train.to_numpy(copy=True)
gaps[::7, :] = numpy.nan
for strategy in ["mean", "median", "most_frequent"]:
    step = impute.SimpleImputer(strategy=strategy).fit(gaps)
    scaled[f"Imputer_{strategy}"] = listed(step.statistics_)

cultivar = (wine["cultivar"] == "class_1").to_numpy(int)
group = pandas.qcut(wine["alcohol"], 5, labels=False).astype(str)
encoder = preprocessing.TargetEncoder(smooth=3.0).fit(group.to_numpy()[:, None], cultivar)
scaled["TargetGroups"] = group.tolist()
scaled["TargetEncoder"] = listed(encoder.transform(group.to_numpy()[:, None]))
scaled["OrdinalEncoder"] = listed(
    preprocessing.OrdinalEncoder().fit_transform(iris["species"].to_numpy()[:, None])
)
scaled["OneHotEncoder"] = listed(
    preprocessing.OneHotEncoder(sparse_output=False).fit_transform(iris["species"].to_numpy()[:, None])
)

texts = [
    "The cat sat on the mat.",
    "A dog, a cat and a Bird!",
    "Über den Wolken: cat-dog 42",
    "",
]
scaled["Texts"] = texts
scaled["TfidfVectorizer"] = listed(
    feature_extraction.text.TfidfVectorizer().fit(texts[:3]).transform(texts).toarray()
)
scaled["TfidfTop"] = feature_extraction.text.TfidfVectorizer().fit(texts[:3]).get_feature_names_out().tolist()
scaled["HashingVectorizer"] = listed(
    feature_extraction.text.HashingVectorizer(n_features=16).transform(texts).toarray()
)
golden["transform"] = scaled

(HERE / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")

# A spreadsheet, which nothing in Rust's tests can write.
import datetime  # noqa: E402

import openpyxl  # noqa: E402

book = openpyxl.Workbook()
sheet = book.active
sheet.title = "first"
sheet.append(["id", "price", "name", "day", "ok"])
sheet.append([1, 1.5, "a", datetime.date(2024, 1, 31), True])
sheet.append([2, None, "b", datetime.date(2024, 2, 1), False])
other = book.create_sheet("other")
other.append([10])
other.append([20])
book.save(HERE / "sheets.xlsx")
