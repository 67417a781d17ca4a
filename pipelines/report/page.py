"""The page `report.html`: one file that asks for nothing from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from pipelines.report.columns import CLASSES, COLUMNS, COMPARED, OTHERS, SCENES, STEPS, TILES
from pipelines.report.figures import curve_figure, inline_svg, reliability_figure, steps_figure
from pipelines.report.formats import duration, number, plain
from pipelines.report.measured import shown_measures
from pipelines.report.places import PlacePicture
from pipelines.report.previews import Picture
from pipelines.report.zoom.placed import Placed
from pipelines.report.zoom.pyramid import SIDE
from pipelines.results.lines import LinesFound
from pipelines.results.report import Comparison, Report, StepSummary
from pipelines.scores.curve import Number
from pipelines.scores.scores import Scores, score_at

_LARGE = 3
"""Numbers at the top of the page."""


_AT_ONCE = 12
"""Remarks, failures or scenes left out that are shown; more would hide what is below them."""


_IMAGES = ("images", "img", "sat")
"""What data sets call the folder of their images."""


_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"RIFF", "image/webp"))


def render_page(
    report: Report,
    pictures: Sequence[Picture],
    places: Sequence[PlacePicture] = (),
    tiles: Placed | None = None,
) -> str:
    """The whole page, with styles, script, figures and pictures in it.

    Args:
        report: Of the run.
        pictures: One for every scene that gets a viewer, in the order of the page.
        places: Of the least certain places, in the order of the page.
        tiles: Of the pictures' scenes, in the same order; None where there are none.

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
    environment.filters |= {"number": number, "plain": plain, "duration": duration}
    pooled, second = report.pooled, report.second_observer
    # Of the masks as they were cut: those are what is shown.
    f1_of = {scene.name: score_at(scene.scores, "at_threshold.f1") for scene in report.scenes}
    viewers = [_viewer(i, picture, f1_of.get(picture.name)) for i, picture in enumerate(pictures)]
    for viewer, of_scene in zip(viewers, tiles.scenes if tiles else (), strict=False):
        viewer["data"]["tiles"] = of_scene
    return environment.get_template("page.html.jinja").render(
        report=report,
        css=_source(environment, "page.css"),
        js=_source(environment, "page.js") + _zoom(environment),
        beside=tiles is not None and tiles.beside,
        unit="image" if report.model and report.model.task == "vessels" else "scene",
        place=_last_part(report.data),
        created=datetime.fromisoformat(report.created).strftime("%Y-%m-%d %H:%M UTC"),
        fields=[scene for scene in report.scenes if scene.field is not None],
        scored=sum(scene.scores is not None for scene in report.scenes),
        f1=_measured(report, "at_threshold.f1"),
        break_even=_measured(report, "break_even.value"),
        second_f1=score_at(second and second.pooled, "foreground.f1"),
        tiles=_measured_tiles(report, TILES),
        other_scores=_measured_tiles(report, OTHERS),
        measures=shown_measures(report),
        verdict=_verdict(report),
        lines=_lines(report),
        places=[_place(one) for one in places],
        curves=_figures(curve_figure(report), reliability_figure(report)),
        step_columns=[COLUMNS[path] for path in STEPS if _has(pooled, path)],
        steps=_steps(report),
        step_figure=_figures(steps_figure(report)),
        table=_table(report, {viewer["name"]: viewer["anchor"] for viewer in viewers}),
        class_columns=[COLUMNS[path] for path in CLASSES],
        classes=_classes(pooled),
        compared=None if report.comparison is None else _compared(report.comparison),
        viewers=viewers,
        remarks=_remarks(report),
        shown_at_once=_AT_ONCE,
    )


def _source(environment: Environment, name: str) -> Markup:
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _zoom(environment: Environment) -> Markup:
    """The script of the viewer that zooms."""
    return Markup(f"const SIDE = {SIDE};\n") + _source(environment, "page.zoom.js")


def _last_part(folder: str | None) -> str:
    """What a folder is called; with its parent's name where its own says nothing."""
    if not folder:
        return ""
    parts = PurePath(folder).parts[-2:] if PurePath(folder).name in _IMAGES else ()
    return str(PurePath(*parts)) if parts else PurePath(folder).name or folder


def _has(scores: Scores[Number] | None, path: str) -> bool:
    """Whether the group that a score belongs to was computed at all."""
    return score_at(scores, path.split(".")[0]) is not None


def _measured(of: Report | StepSummary, path: str) -> dict[str, Any]:
    """A pooled score with its 95 % interval, where it has one."""
    value, ends = score_at(of.pooled, path), (of.intervals or {}).get(path)
    return {"column": COLUMNS[path], "value": value, "ends": None if value is None else ends}


def _verdict(report: Report) -> str:
    """What was found where nothing could be scored, up to the number of scenes."""
    if (measured := report.measurements) is None:
        return ""
    numbers = measured.pooled or measured.mean
    if measured.kind == "vessels":
        return f"Vessels on {number(numbers['density'], '.1%')} of the field of view of"
    if numbers["length_km"] is None:
        return f"Roads on {number(numbers['foreground_share'], '.1%')} of"
    return f"{number(numbers['length_km'], '.1f')} km of road on"


def _lines(report: Report) -> dict[str, Any] | None:
    """Rows of the table of lines, and that of all scenes joined; None where there are none."""

    def row(title: str, found: LinesFound, link: str) -> dict[str, Any]:
        return {"title": title, "found": found, "link": quote(link)}

    def link(scene: str, files: Mapping[str, str]) -> str:
        # The page lies in the folder that the scenes' folders are in.
        return str(PurePosixPath(scene, PurePath(files["lines"]).name))

    made = [scene for scene in report.scenes if scene.lines is not None]
    if not made:
        return None
    rows = [row(one.name, one.lines, link(one.name, one.files)) for one in made if one.lines]
    joined = report.joined
    return {
        "rows": rows,
        "in_metres": all(one["found"].kilometres is not None for one in rows),
        "joined": joined and row("joined", joined.found, link("", joined.files)),
        "left_out": joined.left_out if joined else [],
    }


def _remarks(report: Report) -> list[dict[str, Any]]:
    """What is said of scenes: once, with their files, where it is the same of several."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for scene in report.scenes:
        for remark in scene.remarks:
            file, colon, said = remark.partition(": ")
            of = (file, remark) if colon else (scene.name, remark)
            alike.setdefault(said or file, []).append(of)
    return [
        {"said": said if len(of) > 1 else of[0][1], "files": [file for file, _ in of]}
        for said, of in alike.items()
    ]


def _measured_tiles(report: Report, paths: Sequence[str]) -> list[dict[str, Any]]:
    found = [_measured(report, path) for path in paths if _has(report.pooled, path)]
    if paths == TILES:
        return found[:_LARGE]
    if abs((score_at(report.pooled, "at_threshold.threshold") or 0.5) - 0.5) > 0.003:
        found.insert(0, _measured(report, "at_threshold.f1"))  # Else it is F1 again.
    return found


def _figures(*figures: Figure | None) -> list[Markup]:
    return [Markup(inline_svg(figure)) for figure in figures if figure is not None]


def _steps(report: Report) -> list[dict[str, Any]]:
    """Rows of the table of steps; empty where there is nothing to compare."""
    if len(report.steps) < 2:
        return []
    shown = [path for path in STEPS if _has(report.pooled, path)]
    rows: list[dict[str, Any]] = []
    before = None
    for step in report.steps:
        f1 = score_at(step.pooled, "foreground.f1")
        rows.append({
            "step": step.step,
            "scores": [_measured(step, path) for path in shown],
            "gain": None if f1 is None or before is None else f1 - before,
            "seconds": step.seconds_per_megapixel,
        })  # fmt: skip
        before = f1
    return rows


def _table(report: Report, anchors: Mapping[str, str]) -> dict[str, Any]:
    """Columns, a row per scene, and the rows below that sum them up."""
    # A column without a number, as with --no-topology or of drawn masks, is left out.
    scores = (report.pooled, *(scene.scores for scene in report.scenes))
    columns = [c for c in SCENES if any(score_at(of, c.path) is not None for of in scores)]

    def values(of: Scores[Number] | None) -> list[Number]:
        return [score_at(of, column.path) for column in columns]

    def spread(by_path: Mapping[str, Any] | None) -> list[Any]:
        return [(by_path or {}).get(column.path) for column in columns]

    def below(title: str, values: Sequence[Any], ends: Sequence[Any] | None = None) -> None:
        summaries.append({"title": title, "values": values, "ends": ends})

    summaries: list[dict[str, Any]] = []
    if report.pooled is not None:
        below("mean", spread(report.mean))
        below("standard deviation", spread(report.sd))
        below("pooled", values(report.pooled))
        if report.intervals is not None:
            below("95 % interval", [], spread(report.intervals))
    if (second := report.second_observer) is not None:
        below("second observer, mean", spread(second.mean))
        below("second observer, pooled", values(second.pooled))
    rows = [
        {"name": scene.name, "anchor": anchors.get(scene.name), "values": values(scene.scores)}
        for scene in report.scenes
    ]
    return {"columns": columns, "rows": rows, "below": summaries}


def _classes(pooled: Scores[Number] | None) -> list[dict[str, Any]]:
    return [
        {"name": name, "values": [score_at(scores, path) for path in CLASSES]}
        for name, scores in (pooled.classes if pooled else {}).items()
    ]


def _compared(comparison: Comparison) -> dict[str, Any]:
    """The comparison with rows as they are shown, and how often each run is the higher one."""
    rows = []
    for row in comparison.rows:
        if row.column in COMPARED:
            higher = None
            if row.low is not None and row.high is not None and (row.low > 0 or row.high < 0):
                higher = "B" if row.low > 0 else "A"
            rows.append(vars(row) | {"column": COLUMNS[row.column], "higher": higher})
    gains = [pair.difference for pair in comparison.paired if pair.difference is not None]
    wins = {"a": sum(gain < 0 for gain in gains), "b": sum(gain > 0 for gain in gains)}
    return vars(comparison) | {"rows": rows, "wins": wins, "pairs": len(gains)}


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
            "other": None if picture.other is None else _data_url(picture.other),
            "steps": others,
        },
    }


def _place(of: PlacePicture) -> dict[str, Any]:
    """A place with its frame, in percent of what is shown."""
    place, around = of.place, of.around
    return {
        "scene": of.scene,
        "place": place,
        "image": _data_url(of.image),
        "probability": _data_url(of.probability),
        "aspect": around.width / around.height,
        "frame": {
            "left": 100 * (place.column - around.column) / around.width,
            "top": 100 * (place.row - around.row) / around.height,
            "width": 100 * place.width / around.width,
            "height": 100 * place.height / around.height,
        },
    }


def _data_url(data: bytes) -> str:
    mime = next((mime for signature, mime in _SIGNATURES if data.startswith(signature)), None)
    if mime is None:
        raise ValueError(f"neither PNG nor WebP: starts with {data[:8]!r}")
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
