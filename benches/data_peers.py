"""The tasks of the data bench in Python polars or pandas: one process, one JSON line per task."""

import json
import re
import sys
import time

CITIES = ["Oslo", "Rome", "Lima", "Cairo", "Osaka", "Quito", "Paris", "Delhi"]


def peak_megabytes():
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def measured(name, task):
    with open("/proc/self/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")
    start = time.perf_counter()
    result, check = task()
    line = {"task": name, "seconds": time.perf_counter() - start, "peak": peak_megabytes()}
    print(json.dumps(line | {"check": check}), flush=True)
    return result


def with_polars(orders, users):
    import polars as pl
    import polars.selectors as cs

    def read():
        df = pl.read_csv(orders, try_parse_dates=True)
        return df, df.height

    def group():
        by_user = df.group_by("user").agg(
            pl.col("amount").sum(),
            pl.col("price").mean(),
            pl.col("score").max(),
            pl.len().alias("n"),
        )
        by_city = df.group_by("city", "returned").agg(
            pl.col("amount").median(), pl.col("weight").std()
        )
        return None, by_user.height + by_city.height

    def join():
        joined = df.join(table, on="user", how="left")
        return None, int(joined["age"].sum())

    def profile():
        # What oxilab's profile computes, as one would write it here.
        df.describe(percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
        numbers = df.select(cs.numeric())
        numbers.select(cs.all().skew().name.suffix("_s"), cs.all().kurtosis().name.suffix("_k"))
        for column in numbers.iter_columns():
            column.hist(bin_count=20)
        numbers.select((pl.corr(a, b).alias(f"{a} {b}") for a, b in pairs(numbers.columns)))
        df.select(pl.all().approx_n_unique())
        sample = df.sample(100_000, seed=1)
        for column in sample.iter_columns():
            column.value_counts(sort=True).head(5)
        ranked = sample.select(cs.numeric().rank())
        ranked.select((pl.corr(a, b).alias(f"{a} {b}") for a, b in pairs(ranked.columns)))
        for a, b in pairs(["city", "returned"]):
            sample.group_by(a, b).len()
        sample.is_duplicated().sum()
        return None, None

    def describe():
        df.describe()
        names = df.select(cs.numeric()).columns
        df.select((pl.corr(a, b).alias(f"{a} {b}") for a, b in pairs(names)))
        return None, None

    def validate():
        broken = df.select(
            pl.col("id").is_null().sum().alias("null"),
            (pl.len() - pl.col("id").n_unique()).alias("unique"),
            (~pl.col("amount").is_between(0, 400)).sum().alias("between"),
            (~pl.col("city").is_in(CITIES[:7])).sum().alias("set"),
            (~pl.col("user").str.contains(r"^u\d{1,6}$")).sum().alias("regex"),
            (pl.col("time").diff() < pl.duration(seconds=0)).sum().alias("order"),
            (pl.col("price") > pl.col("amount") * 1.2).sum().alias("row"),
        )
        return None, sum(broken.row(0))

    df = measured("read", read)
    table = pl.read_csv(users)
    measured("group-by", group)
    measured("join", join)
    measured("profile", profile)
    measured("describe", describe)
    measured("validate", validate)


def pairs(names):
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def with_pandas(orders, users):
    import pandas as pd

    def read():
        df = pd.read_csv(orders, parse_dates=["time"])
        return df, len(df)

    def group():
        by_user = df.groupby("user").agg(
            amount=("amount", "sum"),
            price=("price", "mean"),
            score=("score", "max"),
            n=("id", "size"),
        )
        by_city = df.groupby(["city", "returned"]).agg(
            amount=("amount", "median"), weight=("weight", "std")
        )
        return None, len(by_user) + len(by_city)

    def join():
        joined = df.merge(table, on="user", how="left")
        return None, int(joined["age"].sum())

    def profile():
        df.describe(include="all", percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
        numbers = df.select_dtypes("number")
        numbers.corr()
        numbers.skew()
        numbers.kurt()
        for name in numbers:
            pd.cut(numbers[name], 20).value_counts()
        df.nunique()
        sample = df.sample(100_000, random_state=1)
        for name in sample:
            sample[name].value_counts().head(5)
        sample.select_dtypes("number").corr(method="spearman")
        pd.crosstab(sample["city"], sample["returned"])
        sample.duplicated().sum()
        return None, None

    def validate():
        pattern = re.compile(r"^u\d{1,6}$")
        broken = (
            df["id"].isna().sum()
            + df["id"].duplicated().sum()
            + (~df["amount"].between(0, 400)).sum()
            + (~df["city"].isin(CITIES[:7])).sum()
            + (~df["user"].str.match(pattern)).sum()
            + (df["time"].diff() < pd.Timedelta(0)).sum()
            + (df["price"] > df["amount"] * 1.2).sum()
        )
        return None, int(broken)

    df = measured("read", read)
    table = pd.read_csv(users)
    measured("group-by", group)
    measured("join", join)
    measured("profile", profile)
    measured("validate", validate)


def wide(path):
    import polars as pl
    import polars.selectors as cs

    df = pl.read_ipc(path)

    def describe():
        df.describe()
        names = df.select(cs.numeric()).columns
        df.select((pl.corr(a, b).alias(f"{a} {b}") for a, b in pairs(names)))
        return None, df.height

    measured("wide", describe)


if __name__ == "__main__":
    {"polars": with_polars, "pandas": with_pandas, "wide": wide}[sys.argv[1]](*sys.argv[2:])
