"""The tour through nbclient, compared with what plain Python finds in the same file."""

import csv
import statistics

import nbformat
import pytest
from conftest import NOTEBOOKS
from nbclient import NotebookClient

TOUR = NOTEBOOKS / "00-tour.ipynb"


@pytest.fixture(scope="module")
def tour():
    notebook = nbformat.read(TOUR, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": NOTEBOOKS}})
    return client.execute()


@pytest.fixture(scope="module")
def cars():
    with open(NOTEBOOKS / "data" / "cars.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def cell_with(notebook, text):
    found = [cell for cell in code_cells(notebook) if text in cell.source]
    assert found, f"no cell contains {text!r}"
    return found[0]


def result(cell, mime="text/plain"):
    bundles = [o["data"] for o in cell.outputs if o["output_type"] == "execute_result"]
    assert bundles, f"no result under: {cell.source}"
    return bundles[-1][mime]


def test_committed_without_outputs():
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "oxilab"
    assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(notebook))


def test_every_cell_ran_without_error(tour):
    assert all(cell.execution_count for cell in code_cells(tour) if cell.source.strip())
    assert not [o for o in outputs(tour) if o["output_type"] == "error"]
    assert not [o for o in outputs(tour) if o.get("name") == "stderr"]


def test_tables_and_charts_are_there_with_plain_text(tour):
    bundles = [output["data"] for output in outputs(tour) if "data" in output]
    mimes = {mime for bundle in bundles for mime in bundle}
    assert "application/vnd.vegalite.v5+json" in mimes
    assert mimes & {"image/png", "image/svg+xml"}
    assert any("<table" in bundle.get("text/html", "") for bundle in bundles)
    assert all("text/plain" in bundle for bundle in bundles)


def test_group_by_agrees_with_python(tour, cars):
    table = result(cell_with(tour, "let by_origin"))
    for origin in ("Europe", "Japan", "USA"):
        mpg = [float(car["mpg"]) for car in cars if car["origin"] == origin and car["mpg"]]
        line = next(line for line in table.splitlines() if origin in line)
        assert f"{statistics.fmean(mpg):.1f}" in line, line


def test_missing_values_are_counted(tour, cars):
    missing = sum(1 for car in cars if not car["mpg"])
    assert missing > 0
    assert str(missing) in result(cell_with(tour, "null_count"))


def test_model_beats_the_mean(tour):
    assert float(result(cell_with(tour, "let r_squared"))) > 0.7
