"""`tables.xlsx`: the tables of a report, as openpyxl reads them."""

from io import BytesIO

import pytest

from pipelines.report.files.workbook import workbook
from pipelines.report.table import as_csv
from pipelines.scores.scores import PATHS

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")

CREATED = "2026-11-28T12:00:00+00:00"


def sheets_of(texts):
    book = openpyxl.load_workbook(BytesIO(workbook(texts, CREATED)))
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book}


@pytest.fixture(scope="module")
def report(sample_report):
    """Two scenes, a second observer and three steps."""
    return sample_report(("one", "three"), qualities=(0.7, 0.8))


def test_every_kind_of_row_of_the_scores_has_a_sheet(report):
    sheets = sheets_of({"scores.csv": as_csv(report)})
    assert list(sheets) == ["scores", "summary", "second observer", "steps"]
    assert sheets["scores"][0] == ["scene", *PATHS]
    assert [row[0] for row in sheets["scores"][1:]] == ["one", "three"]
    assert [row[0] for row in sheets["summary"][1:]] == ["mean", "sd", "pooled", "low", "high"]
    assert [row[:2] for row in sheets["steps"][1:4]] == [
        ["step 1", "pooled"], ["step 1", "low"], ["step 1", "high"],
    ]  # fmt: skip
    f1 = PATHS.index("foreground.f1") + 1
    assert sheets["scores"][1][f1] == pytest.approx(report.scenes[0].scores.foreground.f1, rel=1e-5)


def test_other_tables_have_a_sheet_each_and_numbers_are_numbers():
    sheets = sheets_of({"nodes.csv": "scene,node,kind,angle\n001,0,end,\n002,1,fork,70.5\n"})
    assert sheets == {
        "nodes": [
            ["scene", "node", "kind", "angle"], ["001", 0, "end", None], ["002", 1, "fork", 70.5],
        ]
    }  # fmt: skip


def test_no_text_becomes_a_formula_or_a_link():
    hostile = ["=1+1", "http://elsewhere.example", "{=A1}", "mailto:a@b"]
    [rows] = sheets_of(
        {"nodes.csv": "scene,node\n" + "".join(f"{one},0\n" for one in hostile)}
    ).values()
    assert [row[0] for row in rows[1:]] == hostile
    book = openpyxl.load_workbook(BytesIO(workbook({"n.csv": "scene,node\n=1+1,0\n"}, CREATED)))
    assert book.active["A2"].data_type == "s"


def test_the_same_tables_are_the_same_bytes():
    texts = {"nodes.csv": "scene,node\na,0\n"}
    assert workbook(texts, CREATED) == workbook(texts, CREATED)


def test_a_table_too_long_to_be_read_is_named_instead():
    [rows] = sheets_of({"segments.csv": "scene,length\n" + "a,1\n" * 50_001}).values()
    assert rows == [["50001 rows are too many for a sheet: see segments.csv"]]
