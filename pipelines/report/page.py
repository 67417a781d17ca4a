"""The page `report.html`: one file that asks for nothing from elsewhere.

Numbers come from `report.json`; what is here chooses which are shown, and how they read.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.report.figures import curve_figure, inline_svg, reliability_figure, steps_figure

UNDEFINED = "–"


@dataclass(frozen=True)
class Picture:
    """What the viewer of one scene shows, at the preview's size.

    Attributes:
        name: Of the scene.
        width: Of the preview, in pixels.
        height: Of the preview, in pixels.
        scale: Preview pixels per scene pixel; 1.0 is full resolution.
        image: WebP or PNG, RGB.
        label: Lossless WebP or PNG, grey: 0 background, 254 foreground, 255 not counted.
        steps: Lossless, grey, one per recurrent step: probability level 0 to 254, 255 missing.
        threshold_level: From this level on a pixel is foreground.
    """

    name: str
    width: int
    height: int
    scale: float
    image: bytes
    label: bytes | None
    steps: tuple[bytes, ...]
    threshold_level: int


@dataclass(frozen=True)
class Column:
    """A number of a report: where it stands, what it is called, and how to read it."""

    path: str
    title: str
    note: str
    form: str = ".3f"


COLUMNS = (
    Column("foreground.f1", "F1", "Harmonic mean of precision and recall, at probability 0.5."),
    Column("foreground.precision", "precision", "Share of what was found that is in the label."),
    Column("foreground.recall", "recall", "Share of the label that was found."),
    Column("foreground.iou", "IoU", "Overlap of found and label, over their union."),
    Column("break_even.value", "break-even", "Where precision equals recall, at any threshold."),
    Column("best.f1", "best F1", "The highest F1 of all thresholds."),
    Column("best.threshold", "best at", "The threshold of the best F1.", ".2f"),
    Column("relaxed.f1", "relaxed F1", "F1 that forgives a few pixels of distance."),
    Column("topology.cldice", "clDice", "Agreement of centre lines: are thin ones connected?"),
    Column("topology.apls", "APLS", "Agreement of path lengths between points of the network."),
    Column("topology.components", "components", "Connected components that were predicted.", "n"),
    Column("topology.label_components", "in label", "Connected components of the label.", "n"),
    Column("class_mean.iou", "mIoU", "IoU, mean over all classes, background included."),
    Column("average_precision", "AP", "Average precision: area under the P/R curve."),
    Column("roc_auc", "ROC AUC", "Chance that a foreground pixel outranks one of background."),
    Column("foreground.mcc", "MCC", "Correlation of prediction and label, -1 to 1."),
)
"""The columns of the table of scenes; `scores.csv` has the rest."""


_OTHERS = (
    Column("relaxed.break_even", "relaxed break-even", "Break-even that forgives a few pixels."),
    Column("at_threshold.f1", "F1 as chosen", "F1 at the chosen threshold."),
    Column("calibration.ece", "ECE", "Mean distance of predicted probability from what came true."),
)


_BY_PATH = {column.path: column for column in (*COLUMNS, *_OTHERS)}


_TILES = (
    "foreground.f1", "foreground.precision", "foreground.recall", "foreground.iou",
    "break_even.value", "relaxed.break_even", "topology.cldice", "topology.apls",
    "class_mean.iou", "average_precision",
)  # fmt: skip


_OF_STEPS = ("foreground.f1", "break_even.value", "class_mean.iou", "relaxed.f1", "topology.cldice")


_OF_CLASSES = (
    "foreground.f1", "foreground.precision", "foreground.recall", "foreground.iou",
    "break_even.value", "best.f1", "average_precision", "roc_auc",
)  # fmt: skip


_COMPARED = (
    "foreground.f1", "foreground.precision", "foreground.recall", "foreground.iou",
    "break_even.value", "best.f1", "relaxed.f1", "relaxed.break_even", "topology.cldice",
    "topology.apls", "class_mean.iou", "average_precision", "roc_auc", "foreground.mcc",
)  # fmt: skip
"""Of which more is better."""


_IMAGES = ("images", "img", "sat")
"""What data sets call the folder of their images."""


_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


def render_page(report: dict[str, Any], pictures: Sequence[Picture]) -> str:
    """The whole page, with styles, script, figures and pictures in it.

    Args:
        report: What `report.json` holds.
        pictures: One for every scene that gets a viewer, in the order of the page.

    Returns:
        HTML. The same arguments give the same text.
    """
    environment = Environment(
        loader=PackageLoader("pipelines.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "plain": _plain, "duration": _duration}
    pooled = report["pooled"]
    # Of the masks as they were cut: those are what is shown.
    f1_of = {scene["name"]: lookup(scene, "at_threshold.f1") for scene in report["scenes"]}
    viewers = [_viewer(i, picture, f1_of.get(picture.name)) for i, picture in enumerate(pictures)]
    return environment.get_template("page.html.jinja").render(
        report=report,
        css=_source(environment, "page.css"),
        js=_source(environment, "page.js"),
        unit="image" if (report["model"] or {}).get("task") == "vessels" else "scene",
        place=_last_part(report["data"]),
        created=datetime.fromisoformat(report["created"]).strftime("%Y-%m-%d %H:%M UTC"),
        scored=sum(scene["foreground"] is not None for scene in report["scenes"]),
        f1=_measured(pooled, report["intervals"], "at_threshold.f1"),
        break_even=_measured(pooled, report["intervals"], "break_even.value"),
        second_f1=lookup((report["second_observer"] or {}).get("pooled"), "foreground.f1"),
        tiles=_tiles(report),
        curves=_figures(curve_figure(report), reliability_figure(report)),
        step_columns=[_BY_PATH[path] for path in _OF_STEPS if _has(pooled, path)],
        steps=_steps(report),
        step_figure=_figures(steps_figure(report)),
        table=_table(report, {viewer["name"]: viewer["anchor"] for viewer in viewers}),
        class_columns=[_BY_PATH[path] for path in _OF_CLASSES],
        classes=_classes(pooled),
        compared=_compared(report["comparison"]),
        viewers=viewers,
    )


def lookup(scores: Mapping[str, Any] | None, path: str) -> float | None:
    """The number under a path as `foreground.f1`; None where it is undefined or not there."""
    value: Any = scores
    for key in path.split("."):
        value = None if value is None else value.get(key)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def number(value: float | None, form: str = ".3f") -> str:
    """A number as it is shown; "n" is a count, and what is undefined is an en dash."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    if form == "n":
        form = ",.0f" if float(value).is_integer() else ",.1f"
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def _source(environment: Environment, name: str) -> Markup:
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _last_part(folder: str | None) -> str:
    """What a folder is called; with its parent's name where its own says nothing."""
    if not folder:
        return ""
    parts = PurePath(folder).parts[-2:] if PurePath(folder).name in _IMAGES else ()
    return str(PurePath(*parts)) if parts else PurePath(folder).name or folder


def _has(scores: Mapping[str, Any] | None, path: str) -> bool:
    """Whether the group that a number belongs to was computed at all."""
    group = path.split(".")[0]
    return scores is not None and scores.get(group) is not None


def _measured(scores: Any, intervals: Mapping[str, Any] | None, path: str) -> dict[str, Any]:
    """A number with its 95 % interval, where it has one."""
    value, ends = lookup(scores, path), (intervals or {}).get(path)
    if value is None or ends is None or None in ends:
        ends = None
    return {"column": _BY_PATH[path], "value": value, "ends": ends}


def _tiles(report: dict[str, Any]) -> list[dict[str, Any]]:
    pooled = report["pooled"]
    paths = list(_TILES)
    if abs((lookup(pooled, "at_threshold.threshold") or 0.5) - 0.5) > 0.003:
        paths.insert(1, "at_threshold.f1")  # Else it is F1 again.
    return [_measured(pooled, report["intervals"], path) for path in paths if _has(pooled, path)]


def _figures(*figures: Figure | None) -> list[Markup]:
    return [Markup(inline_svg(figure)) for figure in figures if figure is not None]


def _steps(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of steps; empty where there is nothing to compare."""
    if report["pooled"] is None:
        return []
    rows: list[dict[str, Any]] = []
    before = None
    for step in report["steps"] or ():
        pooled = step["pooled"]
        f1 = lookup(pooled, "foreground.f1")
        shown = [path for path in _OF_STEPS if _has(report["pooled"], path)]
        rows.append({
            "step": step["step"],
            "scores": [_measured(pooled, step["intervals"], path) for path in shown],
            "gain": None if f1 is None or before is None else f1 - before,
            "seconds": step["seconds_per_megapixel"],
        })  # fmt: skip
        before = f1
    return rows if len(rows) > 1 else []


def _table(report: dict[str, Any], anchors: Mapping[str, str]) -> dict[str, Any]:
    """Columns, a row per scene, and the rows below that sum them up."""
    scenes, pooled, second = report["scenes"], report["pooled"], report["second_observer"]
    # A column without a number, as with --no-topology or of drawn masks, is left out.
    numbers = (pooled, *scenes)
    columns = [c for c in COLUMNS if any(lookup(of, c.path) is not None for of in numbers)]
    rows = [
        {
            "name": scene["name"],
            "anchor": anchors.get(scene["name"]),
            "values": [lookup(scene, column.path) for column in columns],
        }
        for scene in scenes
    ]

    def summary(title: str, values: list[Any], ends: list[Any] | None = None) -> dict[str, Any]:
        return {"title": title, "values": values, "ends": ends}

    def nested(scores: Mapping[str, Any]) -> list[float | None]:
        return [lookup(scores, column.path) for column in columns]

    def flat(by_column: Mapping[str, Any] | None) -> list[Any]:
        return [(by_column or {}).get(column.path) for column in columns]

    below = []
    if pooled is not None:
        below += [summary("mean", flat(report["mean"]))]
        below += [summary("standard deviation", flat(report["sd"]))]
        below += [summary("pooled", nested(pooled))]
        if report["intervals"] is not None:
            below += [summary("95 % interval", [], flat(report["intervals"]))]
    if second is not None:
        below += [summary("second observer, mean", flat(second["mean"]))]
        below += [summary("second observer, pooled", nested(second["pooled"]))]
    return {"columns": columns, "rows": rows, "below": below}


def _classes(pooled: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {"name": name, "values": [lookup(scores, path) for path in _OF_CLASSES]}
        for name, scores in ((pooled or {}).get("classes") or {}).items()
    ]


def _compared(comparison: dict[str, Any] | None) -> dict[str, Any] | None:
    """Rows of the comparison, and which run each of them speaks for."""
    if comparison is None:
        return None
    rows = []
    for row in comparison["rows"]:
        if row["column"] not in _COMPARED:
            continue  # It is in report.json.
        low, high = row["low"], row["high"]
        clear = low is not None and high is not None and (low > 0 or high < 0)
        higher = "B" if (row["b"] or 0) > (row["a"] or 0) else "A"
        column = _BY_PATH[row["column"]]
        rows.append(row | {"column": column, "higher": higher if clear else None})
    pairs = [p for p in comparison["paired"] if p["a"] is not None and p["b"] is not None]
    wins = {side: sum(p[side] > p[o] for p in pairs) for side, o in (("a", "b"), ("b", "a"))}
    return comparison | {"rows": rows, "wins": wins, "pairs": len(pairs)}


def _viewer(index: int, picture: Picture, f1: float | None) -> dict[str, Any]:
    *others, last = (_data_url(step) for step in picture.steps)
    return {
        "name": picture.name,
        "anchor": f"picture-{index + 1}",
        "picture": picture,
        "f1": f1,
        "image": _data_url(picture.image),
        "last": last,
        # Image and last step stand in the page, so that they show without JavaScript too.
        "data": {
            "width": picture.width,
            "height": picture.height,
            "threshold": picture.threshold_level,
            "label": None if picture.label is None else _data_url(picture.label),
            "steps": others,
        },
    }


def _data_url(data: bytes) -> str:
    mime = next((mime for signature, mime in _SIGNATURES if data.startswith(signature)), None)
    if mime is None:
        raise ValueError(f"neither PNG nor WebP: starts with {data[:8]!r}")
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _plain(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return UNDEFINED
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) or UNDEFINED
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value) or UNDEFINED
    return f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return UNDEFINED
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
