"""The files of the data bench, generated once per machine from a fixed seed."""

import datetime
import os

import numpy as np
import polars as pl

CITIES = ["Oslo", "Rome", "Lima", "Cairo", "Osaka", "Quito", "Paris", "Delhi"]
# Bytes of one row of the CSV file, on average.
ROW_BYTES = 94


def orders(folder, megabytes):
    """A CSV file of about so many megabytes: keys, times, classes, numbers with gaps, text."""
    path = folder / f"orders-{megabytes}.csv"
    if not path.exists():
        rows = megabytes * 1_000_000 // ROW_BYTES
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            # In pieces, so that the generator needs little memory.
            for start in range(0, rows, 1_000_000):
                piece = _orders(start, min(1_000_000, rows - start))
                piece.write_csv(file, include_header=start == 0)
        os.replace(part, path)
    return path


def _orders(start, rows):
    random = np.random.default_rng(start)
    first = datetime.datetime(2020, 1, 1)
    id = np.arange(start, start + rows)
    amount = np.round(random.gamma(2.0, 40.0, rows), 2)
    frame = pl.DataFrame(
        {
            "id": id,
            "time": pl.Series(id).cast(pl.Int64) * 7,
            "user": random.integers(0, 200_000, rows),
            "city": np.array(CITIES)[random.integers(0, len(CITIES), rows)],
            "amount": amount,
            "price": np.round(amount * random.normal(1.0, 0.05, rows), 4),
            "score": np.round(random.normal(0.0, 1.0, rows), 6),
            "weight": np.round(random.exponential(3.0, rows), 5),
            "items": random.integers(1, 20, rows),
            "code": random.integers(0, 1_000_000, rows),
            "returned": random.random(rows) < 0.03,
        }
    )
    return frame.with_columns(
        time=pl.lit(first) + pl.duration(seconds=pl.col("time")),
        user=pl.format("u{}", pl.col("user")),
        score=pl.when(pl.col("id") % 17 == 0).then(None).otherwise(pl.col("score")),
    )


def users(folder):
    """The table that orders are joined with."""
    path = folder / "users.csv"
    if not path.exists():
        random = np.random.default_rng(1)
        ids = np.arange(200_000)
        frame = pl.DataFrame({"user": ids, "age": random.integers(18, 90, len(ids))})
        frame = frame.with_columns(
            user=pl.format("u{}", pl.col("user")), segment=pl.format("s{}", pl.col("age") % 7)
        )
        part = path.with_suffix(".part")
        frame.write_csv(part)
        os.replace(part, path)
    return path


def wide(folder, rows):
    """20 columns of numbers, classes, dates and text, as Arrow."""
    path = folder / f"wide-{rows}.arrow"
    if not path.exists():
        random = np.random.default_rng(2)
        base = random.normal(size=rows)
        columns = {f"f{i}": base * (0.1 * i) + random.normal(size=rows) for i in range(10)}
        columns |= {f"i{i}": random.integers(0, 10 ** (i + 1), rows) for i in range(5)}
        frame = pl.DataFrame(columns).with_columns(
            gap=pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise(pl.col("f1")),
            city=pl.Series(np.array(CITIES)[random.integers(0, len(CITIES), rows)]),
            name=pl.format("n{}", pl.col("i3")),
            day=pl.date(2020, 1, 1) + pl.duration(days=pl.col("i2")),
            flag=pl.col("f2") > 0,
        )
        part = path.with_suffix(".part")
        frame.write_ipc(part)
        os.replace(part, path)
    return path
