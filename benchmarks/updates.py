"""`python -m benchmarks.updates SCENES LABELS`: results brought up to date, against new ones.

Scenes are changed in several ways: brighter, in the colours of another season, shifted by half a
pixel, with squares of the next scene (and its labels) put in, so that roads come and go. Each is
predicted anew and with `--from` the result of the scene as it was. F1 is that of the pixels that
changed, with the masks as they are written. Steps are recurrent steps of tiles, and seconds are
processor time without that of the report, both relative to the new prediction. What is at
`--output` is written anew.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.config.inference import InferRoads
from pipelines.inference.batch import run_batch
from pipelines.inference.items import items_of
from pipelines.models.weights import load
from pipelines.results.outcome import Prediction
from pipelines.results.progress import Silence
from tiling.blend import NODATA
from tiling.readers.raster import without_georeferencing_warning

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Image:
    """A scene with its label.

    Attributes:
        pixels: [3, h, w].
        label: Whether there is a road [h, w].
        profile: Of its file.
    """

    pixels: Pixels
    label: NDArray[np.bool_]
    profile: Mapping[str, Any]


Change = Callable[[Image, Image, np.random.Generator], Image]


def brighter(image: Image, _: Image, __: np.random.Generator) -> Image:
    """A fifth more light."""
    return _with(image, image.pixels * 1.2 + 15)


def season(image: Image, _: Image, __: np.random.Generator) -> Image:
    """Greens turn to browns."""
    gain, more = np.array([1.15, 0.85, 0.9]), np.array([8, 0, -4])
    return _with(image, image.pixels * gain[:, None, None] + more[:, None, None])


def shifted(image: Image, _: Image, __: np.random.Generator) -> Image:
    """By half a pixel down and to the right, under the old coordinates."""
    padded = np.pad(image.pixels.astype(float), ((0, 0), (0, 1), (0, 1)), mode="edge")
    down = padded[:, :-1] + padded[:, 1:]
    return _with(image, (down[..., :-1] + down[..., 1:]) / 4)


def patched(count: int, least: int, most: int) -> Change:
    """Puts in squares of another scene, with sides in pixels from `least` to `most`."""

    def change(image: Image, other: Image, random: np.random.Generator) -> Image:
        pixels, label = image.pixels.copy(), image.label.copy()
        for _ in range(count):
            side = int(random.integers(least, most + 1))
            row, column = (int(random.integers(0, length - side)) for length in label.shape)
            square = slice(row, row + side), slice(column, column + side)
            pixels[:, *square], label[square] = other.pixels[:, *square], other.label[square]
        return Image(pixels, label, image.profile)

    return change


def _with(image: Image, pixels: NDArray[np.floating]) -> Image:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return Image(whole, image.label, image.profile)


CHANGES: Mapping[str, Change] = {
    "nothing": lambda image, _, __: image,
    "brightness": brighter,
    "season": season,
    "half a pixel": shifted,
    "one square of 250": patched(1, 250, 250),
    "five squares of 60 to 120": patched(5, 60, 120),
    "three squares of 160 to 300": patched(3, 160, 300),
    "brightness and one square": lambda image, other, random: brighter(
        patched(1, 250, 250)(image, other, random), other, random
    ),
}  # fmt: skip


@dataclass
class Found:
    """What came of one kind of change, over all scenes.

    Attributes:
        before: Hits, false alarms and misses of the old mask on changed pixels.
        anew: Those of a new prediction.
        updated: Those of one that was brought up to date.
        steps: Recurrent steps of tiles: of a new prediction, and brought up to date.
        seconds: Processor time of the two.
    """

    before: NDArray[np.int64]
    anew: NDArray[np.int64]
    updated: NDArray[np.int64]
    steps: NDArray[np.int64]
    seconds: NDArray[np.float64]


def measured(
    images: Mapping[str, Image], model: str, output: Path, seed: int, kinds: Sequence[str]
) -> Iterator[tuple[str, Found]]:
    """Changes every scene in every way, and predicts it anew and from before."""
    shutil.rmtree(output, ignore_errors=True)
    steps = load(model).network.steps
    for name, image in images.items():
        _write(output / "scenes" / f"{name}.tif", image)
    _predict([output / "scenes"], model, output / "before")
    names = list(images)
    for kind in kinds:
        change = CHANGES[kind]
        random = np.random.default_rng(seed)
        counts = [np.zeros(3, np.int64) for _ in range(3)]
        taken, seconds = np.zeros(2, np.int64), np.zeros(2)
        for name, following in zip(names, [*names[1:], names[0]], strict=True):
            image = images[name]
            new = change(image, images[following], random)
            scene = output / "changed" / f"{name}.tif"
            _write(scene, new)
            start = time.process_time()
            _predict([scene], model, output / "anew")
            middle = time.process_time()
            [now] = _predict([scene], model, output / "updated", output / "before")
            seconds += [middle - start, time.process_time() - middle]
            assert now.updated is not None
            # What starts anew has taken its first step from the old mask in vain.
            taken += [
                now.tiles * steps, now.updated.refined + now.updated.cold * (steps + 1)
            ]  # fmt: skip
            where = (new.pixels != image.pixels).any(axis=0)
            if not where.any():
                where[:] = True
            for total, run in zip(counts, ("before", "anew", "updated"), strict=True):
                total += _counts(output / run / name / "mask.tif", new.label, where)
        before, anew, updated = counts
        yield kind, Found(before, anew, updated, taken, seconds)


def _predict(
    scenes: Sequence[Path], model: str, output: Path, before: Path | None = None
) -> Sequence[Prediction]:
    config = InferRoads(
        scenes=[str(scene) for scene in scenes], model=[model], output=output, from_run=before,
        overwrite=True, measurements=False,
    )  # fmt: skip
    models = [load(model, "roads")]
    items = items_of(config, models, config.scenes)
    outcomes = run_batch(items, models, config, output, Silence())
    assert not any(outcome.error for outcome in outcomes), outcomes
    return [outcome.prediction for outcome in outcomes if outcome.prediction is not None]


def _counts(mask: Path, label: NDArray[np.bool_], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    with without_georeferencing_warning(), rasterio.open(mask) as file:
        classes = file.read(1)
    road, counted = classes == 1, where & (classes != NODATA)
    each = (road & label, road & ~label, ~road & label)
    return np.array([(one & counted).sum() for one in each])


def f1(counts: NDArray[np.int64]) -> float:
    """F1 of hits, false alarms and misses."""
    hits, false, missed = counts
    return float(2 * hits / (2 * hits + false + missed))


def table_of(found: Mapping[str, Found]) -> Table:
    """A row for each kind of change."""
    table = Table(
        "change", "old mask", "anew", "updated", "difference", "steps", "seconds", box=None
    )
    for kind, one in found.items():
        scores = [f1(counts) for counts in (one.before, one.anew, one.updated)]
        table.add_row(
            kind, *(f"{score:.4f}" for score in scores), f"{scores[2] - scores[1]:+.4f}",
            f"{one.steps[1] / one.steps[0]:.3f}", f"{one.seconds[1] / one.seconds[0]:.3f}",
        )  # fmt: skip
    return table


def _write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with without_georeferencing_warning(), rasterio.open(path, "w", **image.profile) as file:
        file.write(image.pixels)


def _read(scene: Path, labels: Path) -> Image:
    [label] = labels.glob(f"{scene.stem}.tif*")
    with without_georeferencing_warning():
        with rasterio.open(scene) as file:
            pixels = file.read()
            profile = {
                "driver": "GTiff", "dtype": "uint8", "count": 3, "tiled": True,
                "height": file.height, "width": file.width, "crs": file.crs,
                "transform": file.transform,
            }  # fmt: skip
        with rasterio.open(label) as file:
            return Image(pixels, file.read(1) > 0, profile)


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.updates", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("scenes", type=Path, nargs="+", help="scenes; last: the folder of labels")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default="roads-dru4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("out/updates"))
    parser.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    options = parser.parse_args()
    images = {scene.stem: _read(scene, options.labels) for scene in options.scenes}
    found = dict(measured(images, options.model, options.output, options.seed, options.changes))
    Console(soft_wrap=True).print(table_of(found))


if __name__ == "__main__":
    main()
