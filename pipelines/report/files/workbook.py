"""`tables.xlsx`: all tables of a report in one workbook, a sheet for each kind of row."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from io import BytesIO

from xlsxwriter import Workbook

_MOST_ROWS = 50_000
"""Of a sheet: more take seconds with every report, and nobody reads them there."""

_WIDEST = 30
"""Of a column, in characters."""

_TEXT = ("scene", "kind")
"""Columns that stay text, though a scene may be called 001."""

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""A heading, and rows."""


def workbook(texts: Mapping[str, str], created: str) -> bytes:
    """The workbook with what CSV files hold.

    `scores.csv` has rows of several kinds, which get a sheet each. Numbers are numbers, and texts
    are texts: none is a formula.

    Args:
        texts: The CSV files by their names.
        created: When the report was made, ISO 8601.
    """
    file = BytesIO()
    with Workbook(file, {"in_memory": True, "nan_inf_to_errors": True}) as book:
        book.set_properties({"created": datetime.fromisoformat(created).replace(tzinfo=None)})
        head = book.add_format({"bold": True, "bottom": 1})
        for name, text in texts.items():
            for title, (columns, rows) in _tables(name, text):
                _add_sheet(book, title, columns, rows, head)
    return file.getvalue()


def _tables(name: str, text: str) -> Iterator[tuple[str, Table]]:
    """The sheets of a CSV file by their titles."""
    columns, *rows = csv.reader(io.StringIO(text, newline=""))
    if name != "scores.csv":
        yield name.removesuffix(".csv"), (columns, rows)
        return
    by, of, scene, *scores = columns
    yield (
        "scores",
        ([scene, *scores], [row[2:] for row in rows if row[:2] == ["prediction", "scene"]]),
    )
    summary = [row[1:2] + row[3:] for row in rows if row[0] == "prediction" and row[1] != "scene"]
    if summary:
        yield "summary", ([of, *scores], summary)
    second = [row[1:] for row in rows if row[0] == "second observer"]
    if second:
        yield "second observer", ([of, scene, *scores], second)
    steps = [row[:2] + row[3:] for row in rows if row[0].startswith("step ")]
    if steps:
        yield "steps", ([by, of, *scores], steps)


def _add_sheet(
    book: Workbook, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], head: object
) -> None:
    sheet = book.add_worksheet(title)
    sheet.freeze_panes(1, 1)
    if len(rows) > _MOST_ROWS:
        sheet.write_string(
            0, 0, f"{len(rows)} rows are too many for a sheet: see {title}.csv", head
        )
        return
    for place, name in enumerate(columns):
        values = [row[place] for row in rows]
        numeric = name not in _TEXT and all(map(_is_number, filter(None, values)))
        sheet.write_string(0, place, name, head)
        sheet.set_column(place, place, min(_WIDEST, 2 + max(map(len, [name, *values]))))
        for number, value in enumerate(values, start=1):
            if value and numeric:
                sheet.write_number(number, place, float(value))
            elif value:
                sheet.write_string(number, place, value)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
