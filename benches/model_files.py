"""The files of the model bench, generated once per machine from a fixed seed, and scikit-learn's sets."""

import os

import numpy as np
import polars as pl
from sklearn import datasets

TEST_SHARE = 5


def adult(folder, rows):
    """An adult-like table: numbers and categories with gaps, an income that depends on most of them."""

    def frame():
        random = np.random.default_rng(11)
        age = random.integers(17, 91, rows)
        education = random.choice(16, rows, p=_shares(16, 0.9))
        hours = np.clip(random.normal(40, 12, rows).round(), 1, 99)
        gain = np.where(random.random(rows) < 0.08, random.lognormal(8, 1, rows).round(), 0.0)
        names = {
            "workclass": (8, 0.6),
            "marital": (7, 0.7),
            "occupation": (14, 0.9),
            "relationship": (6, 0.7),
            "race": (5, 0.4),
            "sex": (2, 0.5),
            "country": (40, 0.8),
        }
        codes = {name: random.choice(n, rows, p=_shares(n, q)) for name, (n, q) in names.items()}
        lifts = {name: random.normal(0, 0.6, n) for name, (n, _) in names.items()}
        score = 0.25 * (education - 8) + 0.03 * (hours - 40) + 0.06 * (age - 38) - 0.0012 * (age - 45.0) ** 2
        score += 0.0002 * np.minimum(gain, 20000) + sum(lifts[name][codes[name]] for name in names)
        income = random.random(rows) < 1 / (1 + np.exp(1.2 - score))
        text = {name: _text(name, codes[name]) for name in names}
        for name in ("workclass", "occupation"):
            gaps = pl.Series(random.random(rows) < 0.05)
            text[name] = pl.select(pl.when(~gaps).then(text[name])).to_series().alias(name)
        return pl.DataFrame(
            {
                "age": age,
                "education": _text("education", education),
                "education_num": education,
                "hours": hours,
                "capital_gain": gain,
                "capital_loss": np.where(random.random(rows) < 0.05, random.normal(1900, 300, rows).round(), 0.0),
                **text,
                "income": np.where(income, ">50K", "<=50K"),
            }
        )

    return _parquet(folder / f"adult-{rows}.parquet", frame)


def blobs(folder, rows, features=10):
    """Numbers around eight centres, and a class that depends on all of them."""

    def frame():
        random = np.random.default_rng(12)
        centre = random.integers(0, 8, rows)
        x = random.normal(0, 4, (8, features))[centre] + random.normal(0, 1.5, (rows, features))
        x *= random.uniform(0.5, 2, features)
        score = x @ random.normal(0, 0.3, features)
        label = random.random(rows) < 1 / (1 + np.exp(-score))
        return pl.DataFrame(x, schema=[f"x{i}" for i in range(features)]).with_columns(y=np.where(label, "yes", "no"))

    return _parquet(folder / f"blobs-{rows}.parquet", frame)


def builtin(folder, name):
    """One of scikit-learn's real sets, with `target`."""

    def frame():
        found = getattr(datasets, f"load_{name}")()
        names = [str(feature) for feature in found.feature_names]
        return pl.DataFrame(found.data, schema=names).with_columns(target=pl.Series(found.target).cast(pl.String))

    return _parquet(folder / f"{name}.parquet", frame)


def parts(path):
    """Rows to train on and every fifth to test on."""
    frame = pl.read_parquet(path).with_row_index("row")
    test = pl.col("row") % TEST_SHARE == 0
    return frame.filter(~test).drop("row"), frame.filter(test).drop("row")


def _shares(n, ratio):
    shares = ratio ** np.arange(n)
    return shares / shares.sum()


def _text(name, codes):
    return pl.Series(name, np.array([f"{name}-{code:02}" for code in range(codes.max() + 1)])[codes])


def _parquet(path, frame):
    if not path.exists():
        part = path.with_suffix(".part")
        frame().write_parquet(part)
        os.replace(part, path)
    return path
