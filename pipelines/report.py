"""What a run leaves to be read: `report.json`, `scores.csv`, `report.html`."""

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pipelines.batch import SceneOutcome, as_levels
from pipelines.errors import PipelineError
from pipelines.plan import ScenePlan
from pipelines.scores import Histogram
from pipelines.weights import Model
from tiling.blend import NODATA, TOP
from tiling.errors import TilingError
from tiling.files import open_scene
from tiling.raster import RasterScene

matplotlib.rcParams["svg.hashsalt"] = "rurnet"  # The same report twice is the same bytes.

PICTURES = 12
"""Scenes that are shown with pictures; the others are in the table only."""

_PICTURE_SIDE = 640
_SCORE_KEYS = ("foreground", "break_even", "class_mean", "pixels", "foreground_share")


@dataclass(frozen=True)
class Result:
    """What a run ends with.

    Attributes:
        report: What `report.json` holds.
        folder: Where the report lies.
        weights: The weights file of a training.
        plans: What there was to do, where only that was asked for.
    """

    report: dict[str, Any]
    folder: Path
    weights: Path | None = None
    plans: list[ScenePlan] | None = None


def pooled(histograms: Sequence[Histogram | None]) -> Histogram | None:
    """The sum of those that are there; None where none is."""
    there = [histogram for histogram in histograms if histogram is not None]
    return sum(there[1:], there[0]) if there else None


def build_report(
    models: Sequence[Model], outcomes: Sequence[SceneOutcome], settings: dict[str, Any]
) -> dict[str, Any]:
    """Gathers a run's results as plain data: what `report.json` holds.

    Args:
        models: What predicted; several were averaged.
        outcomes: What came of each scene.
        settings: What the run was asked for.

    Returns:
        `pooled` and `scenes[]` with `foreground`, `break_even` and `class_mean` (None without a
        label), `failed[]` with the reasons, and what it all was made with.
    """
    total = pooled([outcome.histogram for outcome in outcomes])
    second = pooled([outcome.second for outcome in outcomes])
    first = models[0]
    vessels = first.card.task == "vessels"
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("rurnet"),
        "model": {
            "name": " + ".join(model.name for model in models),
            "task": first.card.task,
            "bands": len(first.card.mean),
            "classes": list(first.card.classes),
            "network": " + ".join(dict.fromkeys(model.card.network for model in models)),
            "steps": settings.get("steps") or first.network.steps,
            "weights_sha256": ",".join(model.digest for model in models),
        },
        "settings": settings,
        "counted": "pixels inside the field of view" if vessels else "pixels that are not missing",
        "scored": "probability.tif as written, in levels of 1/254; masks and scores at 0.5 "
        "use level 127",
        "pooled": None if total is None else total.scores().as_dict(),
        "second_observer": None if second is None else second.scores().as_dict(),
        "scenes": [_scene(outcome) for outcome in outcomes if outcome.error is None],
        "failed": [
            {"input": outcome.job.source, "error": outcome.error}
            for outcome in outcomes
            if outcome.error is not None
        ],
    }


def write_report(folder: Path, report: dict[str, Any], outcomes: Sequence[SceneOutcome]) -> Path:
    """Writes the three files, each whole or not at all.

    Args:
        folder: Where to; it is made.
        report: From `build_report`.
        outcomes: The same ones, for curve and pictures.

    Returns:
        `folder/report.html`.

    Raises:
        PipelineError: The disk refuses.
    """
    html = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.json", json.dumps(report, indent=2, default=str) + "\n")
        _write(folder / "scores.csv", _csv(report))
        _write(html, _html(report, outcomes))
    except OSError as error:
        raise PipelineError(
            f"{folder}: the report cannot be written ({error}); free some space or choose "
            "another --output"
        ) from error
    return html


def _scene(outcome: SceneOutcome) -> dict[str, Any]:
    scores: dict[str, Any] = dict.fromkeys(_SCORE_KEYS)
    if outcome.histogram is not None:
        scores = outcome.histogram.scores().as_dict()
    prediction = outcome.prediction
    return {
        "name": outcome.job.name,
        "input": outcome.job.source,
        "label": outcome.label,
        "height": outcome.height,
        "width": outcome.width,
        "tiles": prediction.tiles if prediction else None,
        "parts": prediction.parts if prediction else None,
        "parts_computed": prediction.computed if prediction else None,
        "seconds": round(prediction.seconds, 3) if prediction else None,
        "files": {kind: str(path) for kind, path in outcome.files.items()},
        **scores,
    }


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


COLUMNS = (
    "precision", "recall", "f1", "iou", "break_even", "break_even_threshold",
    "class_mean_iou", "class_mean_recall", "class_mean_precision", "class_mean_f1",
    "class_mean_break_even",
)  # fmt: skip


def row(scores: dict[str, Any] | None) -> dict[str, float | None]:
    """A flat row of scores, named as in `scores.csv`; all None without scores."""
    if scores is None or scores.get("foreground") is None:
        return dict.fromkeys(COLUMNS)
    return {
        **scores["foreground"],
        "break_even": scores["break_even"]["value"],
        "break_even_threshold": scores["break_even"]["threshold"],
        **{f"class_mean_{key}": value for key, value in scores["class_mean"].items()},
    }


def rows(report: dict[str, Any]) -> list[tuple[str, dict[str, float | None]]]:
    """Name and scores of every scene, then the pool and the second observer where they are."""
    every = [(scene["name"], row(scene)) for scene in report["scenes"]]
    if report["pooled"] is not None:
        every.append(("pooled", row(report["pooled"])))
    if report["second_observer"] is not None:
        # A drawing has no threshold to move, so no break-even.
        drawn: dict[str, float | None] = {key: None for key in COLUMNS if "break_even" in key}
        every.append(("second observer", row(report["second_observer"]) | drawn))
    return every


def _csv(report: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scene", *COLUMNS])
    for name, scores in rows(report):
        values = (scores[column] for column in COLUMNS)
        writer.writerow([name, *("" if v is None else f"{v:.6f}" for v in values)])
    return text.getvalue()


def _html(report: dict[str, Any], outcomes: Sequence[SceneOutcome]) -> str:
    environment = Environment(loader=PackageLoader("pipelines"), autoescape=True)
    environment.filters["score"] = lambda value: "–" if value is None else f"{value:.3f}"
    shown = [outcome for outcome in outcomes if outcome.error is None][:PICTURES]
    total = pooled([outcome.histogram for outcome in outcomes])
    return environment.get_template("report.html").render(
        report=report,
        rows=rows(report),
        curve=None if total is None else _curve(total),
        pictures=[p for outcome in shown if (p := _picture(outcome, report)) is not None],
        shown=PICTURES,
    )


def _curve(histogram: Histogram) -> str:
    """Precision over recall of the pool, as SVG."""
    precision, recall = histogram.curve()
    scores = histogram.scores()
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    axes.plot(recall, precision, color="#0b6e99", linewidth=2)
    point = scores.break_even
    if not np.isnan(point.value):
        axes.plot(point.value, point.value, "o", color="#c2410c",
                  label=f"break-even {point.value:.3f} at {point.threshold:.2f}")  # fmt: skip
    at_half = scores.foreground
    axes.plot(at_half.recall, at_half.precision, "s", color="#0b6e99", label="threshold 0.5")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def _picture(outcome: SceneOutcome, report: dict[str, Any]) -> dict[str, str] | None:
    """Image, probability, and agreement with the label, each as a PNG in a data URL."""
    if outcome.prediction is None:
        return None
    model, chosen = report["model"], report["settings"].get("bands")
    bands = [int(band) for band in chosen.split(",")] if chosen else model["bands"]
    classes = range(1, len(model["classes"]))
    try:
        with open_scene(outcome.job.source, bands=bands) as scene:
            pixels = scene.overview(_PICTURE_SIDE)
        mask = _small(outcome.prediction.mask, [1])[0]
        levels = as_levels(_small(outcome.prediction.probability, classes))
        label = None if outcome.label is None else _small(Path(outcome.label), [1])[0] > 0
    except TilingError:
        return None  # Gone or changed since it was predicted; the table still has its scores.
    there = mask != NODATA
    image = _for_display(pixels, there)
    grey = np.where(there, levels.astype(np.float64) / TOP * 255, 60).astype(np.uint8)
    picture = {
        "name": outcome.job.name,
        "image": _data_url(image),
        "probability": _data_url(np.repeat(grey[..., None], 3, axis=-1)),
    }
    found = there & (mask > 0)
    dimmed = (image * 0.45).astype(np.uint8)
    if label is None:
        dimmed[found] = (255, 214, 10)
        picture["mask"] = _data_url(dimmed)
    else:
        dimmed[found & label] = (74, 222, 128)
        dimmed[found & ~label] = (239, 68, 68)
        dimmed[there & ~found & label] = (96, 165, 250)
        picture["agreement"] = _data_url(dimmed)
    return picture


def _small(path: Path, bands: Sequence[int]) -> NDArray[Any]:
    with RasterScene(path, bands=bands) as scene:
        return scene.overview(_PICTURE_SIDE)


def _for_display(pixels: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Three bands of a scene [h, w, 3], of the size of `there`.

    What is not of 8 bits is stretched from its 2nd to its 98th percentile.
    """
    pixels = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    # An OME-TIFF is decimated to another size than a raster.
    rows, columns = (
        np.arange(side) * own // side
        for side, own in zip(there.shape, pixels.shape[1:], strict=True)
    )
    pixels = np.moveaxis(pixels[:, rows[:, None], columns], 0, -1)
    if pixels.dtype != np.uint8:
        low, high = np.percentile(pixels[there] if there.any() else pixels, (2, 98))
        pixels = (pixels.astype(np.float64) - low) / max(high - low, 1e-9) * 255
    return pixels.clip(0, 255).astype(np.uint8)


def _data_url(pixels: NDArray[np.uint8]) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")
