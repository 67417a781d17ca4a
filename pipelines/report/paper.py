"""`rurnet figures RUN`: the figures of a run for a paper, as PDF, SVG and PNG.

They are drawn from `report.json` and the files that it names; nothing is predicted or scored.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from pipelines.config.base import AUTO
from pipelines.config.scoring import LabelSettings
from pipelines.errors import DataError, PipelineError
from pipelines.inputs.discovery import fundus_inputs
from pipelines.inputs.labels import labelling_of
from pipelines.report.figures import FIGURES, LINE, RESOLUTION, STYLE
from pipelines.report.previews import Layers, layers_of
from pipelines.results.outcome import SceneOutcome
from pipelines.results.reading import read_report
from pipelines.results.report import Report, SceneEntry
from pipelines.runtime.disk import refusals_named
from pipelines.scores.scores import score_at
from tiling.blend import NODATA, TOP
from tiling.dicom.names import is_pseudonym
from tiling.disk import appearing
from tiling.errors import TilingError
from tiling.masks.mask import threshold_level

FORMATS = ("pdf", "svg", "png")


_SCENES = 3
"""Scenes of the panel, where none are chosen."""


_LONGEST = 900
"""Pixels on a side of a picture in the panel."""


_WIDTH = 7.2
"""Of the panel in inches: two columns of most journals."""


_TITLES = ("image", "label", "mask", "agreement")


_HIT, _MISS, _ALARM = (0x1F, 0x8A, 0x4C), (0x1F, 0x5F, 0xD6), (0xD0, 0x2E, 0x12)


_GONE = (0x80, 0x86, 0x8C)


def figures_of(
    run: Path,
    scenes: Sequence[str] = (),
    output: Path | None = None,
    photographs: Sequence[str] = (),
) -> list[Path]:
    """Draws the figures of a run.

    Args:
        run: Its folder, or its `report.json`.
        scenes: Names of those in the panel; by default the worst, the middle and the best by F1.
        output: Where to; by default `figures` beside the report.
        photographs: Files and folders of the DICOM photographs, which a report does not name; by
            default they are looked for where the run was told to.

    Returns:
        The files: `pr-curve`, `reliability`, `steps` and `panel` in each of `FORMATS`, or fewer
        where there is nothing to draw.

    Raises:
        DataError: There is no report, or no such scene in it, or a file that it names is gone, or
            there is nothing at all to draw.
        PipelineError: The disk refuses.
    """
    report = read_report(run)
    folder = output or (run if run.is_dir() else run.parent) / "figures"
    chosen = _chosen(report, scenes)
    panel = panel_figure(report, chosen, _sources(report, chosen, photographs))
    drawn = {name: draw(report) for name, draw in FIGURES.items()} | {"panel": panel}
    if not any(drawn.values()):
        raise DataError(
            f"{run}: nothing to draw: its report has no scores, and no scene that was done and has "
            "rasters; give a run of infer-roads or infer-drive, or an evaluation of rasters"
        )
    written: list[Path] = []
    with refusals_named(folder, "choose another --output"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            if figure is not None:
                written += _written(folder / name, figure)
    return written


def _level_of(report: Report, scene: SceneEntry) -> int:
    """The lowest level of a scene that is foreground."""
    threshold = report.scoring.threshold
    return threshold_level((scene.threshold or 0.5) if threshold == AUTO else threshold)


def panel_figure(
    report: Report, scenes: Sequence[SceneEntry], sources: Mapping[str, str] | None = None
) -> Figure | None:
    """Image, label, mask and agreement of scenes, a row for each; None without scenes.

    What no scene has is left out: labels and agreement, and images where rasters were only scored.

    Args:
        report: Of the run.
        scenes: Those to draw.
        sources: Where the images of scenes are that the report does not tell, by what it tells.

    Raises:
        DataError: A file that the report names is gone, or has changed.
    """
    if not scenes:
        return None
    images = [_image_of(scene, sources or {}) for scene in scenes]
    rows = [
        _pictures(_layers(report, scene, image), _level_of(report, scene), image is not None)
        for scene, image in zip(scenes, images, strict=True)
    ]
    titles = [title for title in _TITLES if any(title in row for row in rows)]
    ratios = [row["mask"].shape[0] / row["mask"].shape[1] for row in rows]
    side = _WIDTH / len(titles)
    with matplotlib.rc_context(STYLE):
        figure = Figure(
            figsize=(_WIDTH, side * sum(ratios) + 0.25 + 0.05 * len(rows)),
            layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0),
        )
        grid = figure.subplots(len(rows), len(titles), squeeze=False, height_ratios=ratios)
        for axes, row, scene in zip(grid, rows, scenes, strict=True):
            for place, title in zip(axes, titles, strict=True):
                if title not in row:
                    place.set_axis_off()
                    continue
                place.imshow(row[title], interpolation="nearest")
                place.set(xticks=[], yticks=[])
                place.spines[:].set(visible=True, color=LINE)
            f1 = score_at(scene.scores, "at_threshold.f1")
            said = scene.name if f1 is None else f"{scene.name}, F1 {f1:.3f}"
            axes[0].text(0, -0.02, said, transform=axes[0].transAxes, va="top", fontsize=7)
        for place, title in zip(grid[0], titles, strict=True):
            place.set_title(title, fontsize=9)
    figure.set_label("Image, label, mask, and hits (green), misses (blue) and false alarms (red)")
    return figure


def _chosen(report: Report, names: Sequence[str]) -> list[SceneEntry]:
    by_name = {scene.name: scene for scene in report.scenes}
    for name in names:
        if name not in by_name:
            raise DataError(
                f"{name}: no such scene in the report; it has {', '.join(by_name) or 'none'}"
            )
        if not _has_rasters(by_name[name]):
            raise DataError(f"{name}: was scored as lines, of which no picture can be drawn")
    if names:
        return [by_name[name] for name in names]

    def f1(scene: SceneEntry) -> float:
        found = score_at(scene.scores, "foreground.f1")
        return 2 if found is None else float(found)

    ranked = sorted(filter(_has_rasters, report.scenes), key=f1)
    if len(ranked) <= _SCENES:
        return ranked
    scored = sum(f1(scene) < 2 for scene in ranked) or len(ranked)
    return [ranked[0], ranked[scored // 2], ranked[scored - 1]]


def _has_rasters(scene: SceneEntry) -> bool:
    """Whether pixels were predicted or scored, and not lines alone."""
    return "probability" in scene.files


def _sources(
    report: Report, scenes: Sequence[SceneEntry], photographs: Sequence[str]
) -> dict[str, str]:
    """The files of DICOM photographs by what a report calls them.

    Raises:
        DataError: There are none in a folder, or one is not among them.
    """
    wanted = [scene.input for scene in scenes if is_pseudonym(scene.input)]
    if not wanted:
        return {}
    # Files that were named themselves have their pseudonym among the settings, too.
    told = photographs or [one for one in report.settings["scenes"] if not is_pseudonym(one)]
    found = {item.source: item.image or item.source for item in fundus_inputs(told, None)}
    for name in wanted:
        if name not in found:
            raise DataError(
                f"{name}: this is a DICOM photograph, whose file the report does not tell; give "
                "the file, or the folder that it is in, with --photographs"
            )
    return found


def _layers(report: Report, scene: SceneEntry, image: str | None) -> Layers:
    settings = report.settings
    named = (
        report.model.classes[1:] if report.model else (settings.get("classes") or "one").split(",")
    )
    labels = LabelSettings.model_validate(
        {name: settings[name] for name in LabelSettings.model_fields if name in settings}
    )
    bands = settings.get("bands")
    outcome = SceneOutcome(
        scene.name,
        scene.input,
        scene.height,
        scene.width,
        files=scene.files,
        image=image,
        label=scene.label,
        labelling=labelling_of(len(named) + 1, tuple(report.scoring.ignore), labels),
    )
    try:
        return layers_of(
            outcome, [int(one) for one in bands.split(",")] if bands else None, _LONGEST
        )
    except (PipelineError, TilingError) as error:
        raise DataError(
            f"{scene.name}: cannot be drawn ({error}); run this in the folder in which the run was "
            "started, or choose other scenes with --scenes"
        ) from error


def _image_of(scene: SceneEntry, sources: Mapping[str, str]) -> str | None:
    """What was predicted from; rasters that were only scored are no picture."""
    return sources.get(scene.input, scene.input) if scene.tiles is not None else None


def _pictures(layers: Layers, level: int, seen: bool) -> dict[str, NDArray[np.uint8]]:
    """Colours [h, w, 3] by title, one of `_TITLES`; the image where one was `seen`."""
    levels, label = layers.steps[-1], layers.label
    there = levels != NODATA
    found = levels >= level
    pictures = {"image": layers.image} if seen else {}
    white = np.full((*levels.shape, 3), 255, np.uint8)
    if label is not None:
        pictures["label"] = _painted(white, [(label == TOP, (0, 0, 0)), (label == NODATA, _GONE)])
    pictures["mask"] = _painted(white, [(found & there, (0, 0, 0)), (~there, _GONE)])
    if label is not None:
        counted, real = there & (label != NODATA), label == TOP
        pictures["agreement"] = _painted(
            white,
            [
                (counted & found & real, _HIT), (counted & ~found & real, _MISS),
                (counted & found & ~real, _ALARM), (~counted, _GONE),
            ],
        )  # fmt: skip
    return pictures


def _painted(
    ground: NDArray[np.uint8], parts: Sequence[tuple[NDArray[np.bool_], tuple[int, int, int]]]
) -> NDArray[np.uint8]:
    painted = ground.copy()
    for where, colour in parts:
        painted[where] = colour
    return painted


def _written(stem: Path, figure: Figure) -> Iterator[Path]:
    """Writes a figure in every format; text stays text, and the same figure is the same bytes."""
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    for kind in FORMATS:
        path = stem.with_name(f"{stem.name}.{kind}")
        with appearing(path) as partial, matplotlib.rc_context({**STYLE, "pdf.fonttype": 42}):
            figure.savefig(partial, format=kind, dpi=RESOLUTION, metadata=metadata[kind])
        yield path


def main(called: str, words: Sequence[str]) -> None:
    """Reads the command line and draws the figures.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    parser = argparse.ArgumentParser(
        called, description="Draw the figures of a run for a paper, as PDF, SVG and PNG."
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, with report.json")
    parser.add_argument(
        "--scenes", nargs="+", default=[], metavar="NAME",
        help="scenes of the panel; by default the worst, the middle and the best",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, help="folder for the figures; by default RUN/figures"
    )
    parser.add_argument(
        "--photographs", nargs="+", default=[], metavar="FILE",
        help="DICOM photographs of the run, or their folders; by default those it was told of",
    )  # fmt: skip
    arguments = parser.parse_args(words)
    try:
        for path in figures_of(
            arguments.run, arguments.scenes, arguments.output, arguments.photographs
        ):
            print(path)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main("python -m pipelines.report.paper", sys.argv[1:])
