"""What was measured, for a report: its entries, CSV files, and what the page shows of it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

from pipelines.measurements.measured import SceneMeasures, of_networks, spread
from pipelines.measurements.network import Network
from pipelines.measurements.vessels import NO_DIAGNOSIS, Node, Segment, Stretch, VesselTree
from pipelines.report.columns import MEASURED, Column
from pipelines.report.formats import number
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import Measured, Report, UncertainPlace

_DIGITS = 6


def uncertain_of(measures: SceneMeasures) -> list[UncertainPlace]:
    """The least certain places of a scene, the worst first."""
    places = []
    for place in measures.uncertain:
        window = place.window
        column, row = window.column + window.width / 2, window.row + window.height / 2
        to = measures.transform
        x, y = to.a * column + to.b * row + to.c, to.d * column + to.e * row + to.f
        places.append(
            UncertainPlace(
                window.row, window.column, window.height, window.width,
                round(place.entropy, _DIGITS), x, y,
            )
        )  # fmt: skip
    return places


def measured_of(scenes: Sequence[SceneMeasures]) -> Measured | None:
    """What was measured of all scenes together; None where nothing was."""
    if not scenes:
        return None
    mean, sd = spread([one.numbers for one in scenes])
    networks = [one.lines for one in scenes if isinstance(one.lines, Network)]
    if len(networks) < len(scenes):
        return Measured("vessels", None, mean, sd)
    return Measured("roads", of_networks(networks), mean, sd)


FILES = ("measurements.csv", "uncertain.csv", "segments.csv", "nodes.csv", "zones.csv")
"""All that may be written, see `measured_files`."""


def measured_files(report: Report, outcomes: Sequence[SceneOutcome]) -> dict[str, str]:
    """The texts of the CSV files by their names, each of one kind of row."""
    if report.measurements is None:
        return {}
    trees = {
        one.name: one.measures.lines
        for one in outcomes
        if one.measures is not None and isinstance(one.measures.lines, VesselTree)
    }
    scales = {one.name: one.micrometres for one in outcomes if one.name in trees}
    scenes = [one for one in report.scenes if one.measurements is not None]
    names = [*report.measurements.mean]
    told = ["laterality"] if any(one.laterality for one in scenes) else []
    files = {
        "measurements.csv": _csv(
            ["scene", *told, *names],
            (
                (
                    one.name,
                    *(getattr(one, each) for each in told),
                    *((one.measurements or {}).get(name) for name in names),
                )
                for one in scenes
            ),
        ),
        "uncertain.csv": _csv(
            ["scene", *_names(UncertainPlace)],
            ((one.name, *astuple(place)) for one in scenes for place in one.uncertain),
        ),
    }
    if trees:
        files["segments.csv"] = _csv(
            ["scene", *_names(Segment), *_in_micrometres(scales)],
            (
                (name, *astuple(one), *_micrometres_of(one, scales, name))
                for name, tree in trees.items()
                for one in tree.segments
            ),
        )
        files["nodes.csv"] = _csv(["scene", "node", *_names(Node)], _nodes(trees))
    if any(tree.zones for tree in trees.values()):
        files["zones.csv"] = _csv(
            ["scene", "zone", *_names(Stretch), *_in_micrometres(scales)],
            (
                (name, zone, *astuple(stretch), *_micrometres_of(stretch, scales, name))
                for name, tree in trees.items()
                for zone, stretch in tree.zones.items()
            ),
        )
    return files


def shown_measures(report: Report) -> dict[str, Any] | None:
    """What the page shows: three large numbers, the spread of each, and a table of scenes."""
    measured = report.measurements
    if measured is None:
        return None
    together = measured.pooled or measured.mean
    columns = [one for one in MEASURED[measured.kind] if measured.mean.get(one.path) is not None]
    scenes = [one for one in report.scenes if one.measurements is not None]
    return {
        "kind": measured.kind,
        "columns": columns,
        "tiles": [{"column": one, "value": together[one.path]} for one in columns[:3]],
        "spread": [_spread(one, measured, scenes) for one in columns] if len(scenes) > 1 else [],
        "rows": [
            {"name": one.name, "values": [(one.measurements or {}).get(c.path) for c in columns]}
            for one in scenes
        ],
        "pooled": None
        if measured.pooled is None
        else [measured.pooled.get(c.path) for c in columns],
        "caution": NO_DIAGNOSIS if measured.kind == "vessels" else None,
    }


def _spread(column: Column, measured: Measured, scenes: Sequence[Any]) -> dict[str, Any]:
    """Mean, deviation and range of a number, and the place of each scene between the ends."""
    values = [
        (one.name, one.measurements[column.path])
        for one in scenes
        if one.measurements.get(column.path) is not None
    ]
    low, high = min(value for _, value in values), max(value for _, value in values)
    return {
        "column": column,
        "mean": measured.mean[column.path],
        "sd": measured.sd[column.path],
        "low": low,
        "high": high,
        "dots": [
            {
                "at": (value - low) / (high - low) if high > low else 0.5,
                "title": f"{name}: {number(value, column.form)}",
            }
            for name, value in values
        ],
    }


def _nodes(trees: Mapping[str, VesselTree]) -> Iterator[tuple[Any, ...]]:
    for name, tree in trees.items():
        for place, node in enumerate(tree.nodes):
            yield name, place, *astuple(node)


def _in_micrometres(scales: Mapping[str, float | None]) -> list[str]:
    """Columns of lengths on the retina, where the scale of any image is known."""
    return ["length_um", "calibre_um"] if any(scales.values()) else []


def _micrometres_of(
    one: Segment | Stretch, scales: Mapping[str, float | None], name: str
) -> list[float | None]:
    """The values of these columns; nothing of an image whose scale is not known."""
    scale = scales[name]
    if scale is None:
        return [None for _ in _in_micrometres(scales)]
    return [one.length * scale, one.calibre * scale]


def _names(of: Any) -> list[str]:
    return [field.name for field in fields(of)]


def _csv(head: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(map(_text, row))
    return text.getvalue()


def _text(value: Any) -> str:
    """Six digits, of coordinates to the millimetre; nothing of what is undefined."""
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) >= 1000 else f"{value:.6g}"
    return str(value)
