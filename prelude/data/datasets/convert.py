"""Writes the built-in data sets from scikit-learn's wheel (run once, results are committed).

    python3 convert.py        # needs scikit-learn; writes beside this file

Names of the features are scikit-learn's, in snake case; classes are written as words.
"""

import csv
import gzip
import io
import pathlib
import re

from sklearn import datasets

HERE = pathlib.Path(__file__).parent


def snake(name):
    name = re.sub(r"\s*\(cm\)", "", name)
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def write(name, header, rows, compress):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    data = text.getvalue().encode()
    if compress:
        (HERE / f"{name}.csv.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    else:
        (HERE / f"{name}.csv").write_bytes(data)


def classes(bunch, label):
    header = [snake(n) for n in bunch.feature_names] + [label]
    rows = [
        [repr(float(v)) for v in x] + [bunch.target_names[y]]
        for x, y in zip(bunch.data, bunch.target)
    ]
    return header, rows


write("iris", *classes(datasets.load_iris(), "species"), False)
header, rows = classes(datasets.load_wine(), "cultivar")
write("wine", header, rows, False)
write("breast_cancer", *classes(datasets.load_breast_cancer(), "diagnosis"), True)

bunch = datasets.load_diabetes(scaled=False)
write(
    "diabetes",
    [snake(n) for n in bunch.feature_names] + ["progression"],
    [[repr(float(v)) for v in x] + [repr(float(y))] for x, y in zip(bunch.data, bunch.target)],
    True,
)

bunch = datasets.load_digits()
write(
    "digits",
    [snake(n) for n in bunch.feature_names] + ["digit"],
    [[int(v) for v in x] + [int(y)] for x, y in zip(bunch.data, bunch.target)],
    True,
)
