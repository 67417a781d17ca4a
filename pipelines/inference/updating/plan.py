"""Which tiles of a scene have changed since an earlier result, and what is done with each."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipelines.inference.stepping.bands import Bands
from pipelines.inference.updating.earlier import Earlier
from pipelines.inference.updating.grids import warped
from pipelines.inference.updating.known import (
    Ground,
    KnownLevels,
    Sources,
    opened_levels,
    sources_of,
)
from pipelines.inputs.scene_input import OpenedScene
from tiling.digests import COLD, REFINED, TAKEN, TILE_DIGEST, Digests
from tiling.disk import appearing, refusals_named
from tiling.fingerprint import same_input, same_place
from tiling.grid import Grid
from tiling.manifest import Work
from tiling.part import Part
from tiling.readers.raster import without_georeferencing_warning
from tiling.stitch import digests_of
from tiling.store import PartStore
from tiling.window import Window

_FILE = "update.json"
"""Among the parts: what workers are to know. A run that goes on plans anew."""


@dataclass(frozen=True)
class Update:
    """How a scene is brought up to date.

    Attributes:
        grid: Its tiles.
        ground: Its sizes.
        changed: Which tiles have other pixels than before [rows, columns].
        sources: The earlier result; empty where nothing of it can be used.
        probability: Which of its bands are those of the last step: first, and the one after.
        refines: Whether changed tiles start from its mask.
        digests: Of all parts, where they were read.
    """

    grid: Grid
    ground: Ground
    changed: NDArray[np.bool_]
    sources: Sources
    probability: tuple[int, int]
    refines: bool
    digests: Mapping[Part, Digests] | None = None

    def wants(self, part: Part) -> bool:
        """Whether something in a part is other than it was, so that it is computed."""
        extent = part.extent.grown(self.ground.margin)
        rows, columns = np.array(self.grid.rows)[:, None], np.array(self.grid.columns)
        near = (
            (rows < extent.bottom)
            & (rows + self.grid.tile_height > extent.row)
            & (columns < extent.right)
            & (columns + self.grid.tile_width > extent.column)
        )
        return bool((near & self.changed).any())

    def write(self, store: PartStore) -> None:
        """Writes what workers are to know."""
        told = {
            "seen": self.ground.seen,
            "scene": self.ground.scene,
            "changed": np.packbits(self.changed).tobytes().hex(),
            "sources": [[path, list(bands)] for path, bands in self.sources],
            "probability": self.probability,
            "refines": self.refines,
        }
        path = store.folder / _FILE
        with refusals_named(path), appearing(path) as partial:
            partial.write_text(json.dumps(told), encoding="utf-8")

    @contextmanager
    def open(self) -> Iterator[KnownLevels | None]:
        """Opens the earlier result; None where nothing of it can be used."""
        if not self.sources:
            yield None
            return
        with opened_levels(
            self.grid, self.ground, self.changed, self.sources, slice(*self.probability),
            refines=self.refines,
        ) as known:  # fmt: skip
            yield known


def update_of(store: PartStore) -> Update | None:
    """How the scene of a store is brought up to date; None where it is not."""
    path = store.folder / _FILE
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    shape = len(store.grid.rows), len(store.grid.columns)
    bits = np.frombuffer(bytes.fromhex(told["changed"]), np.uint8)
    changed = np.unpackbits(bits, count=shape[0] * shape[1]).astype(bool).reshape(shape)
    return Update(
        store.grid,
        Ground(tuple(told["seen"]), tuple(told["scene"])),
        changed,
        [(path, bands) for path, bands in told["sources"]],
        tuple(told["probability"]),
        told["refines"],
    )


def planned(
    opened: OpenedScene,
    work: Work,
    earlier: Earlier,
    bands: Bands,
    *,
    gated: bool,
) -> Update:
    """Compares a scene with what an earlier result was made from, and decides.

    Pixels are read only where the file may have changed and the earlier result tells of tiles.

    Args:
        opened: The scene.
        work: What there is of its new result.
        earlier: What there is of it from before.
        bands: Of the parts.
        gated: Whether the networks tell when an earlier mask is of no use to start from.
    """
    grid, parts = work.store.grid, work.store.parts
    old, now = earlier.manifest, work.manifest
    shape = len(grid.rows), len(grid.columns)
    ground = Ground(
        (opened.seen.height, opened.seen.width), (opened.scene.height, opened.scene.width)
    )
    update = Update(
        grid, ground, np.ones(shape, bool), sources_of(earlier.files, bands),
        (bands.last.start, bands.last.stop), gated,
    )  # fmt: skip
    before = np.frombuffer(earlier.tiles, f"V{TILE_DIGEST}")
    as_large = all(old.input[key] == now.input[key] for key in ("height", "width", "bands", "type"))
    there = earlier.files["probability"]
    if not as_large or _size(there) != ground.scene or not same_place(there, opened.seen):
        return _elsewhere(update, opened, work, there)
    if before.size != grid.tile_count or not earlier.sees_alike(now.settings):
        return update
    alike = not work.store.raw or earlier.same(now.settings)
    if alike and same_input(old.input, now.input) and old.part_size == now.part_size:
        by_tile = dict(zip(grid.tiles(), (one.tobytes() for one in before), strict=True))
        noted = {
            part: Digests(old.parts[part.name], b"".join(by_tile[tile] for tile in part.tiles()))
            for part in parts
        }
        return replace(update, changed=np.zeros(shape, bool), digests=noted)
    if work.store.raw:
        return update  # Unrounded probabilities are not kept in levels.
    digests = digests_of(opened.seen, grid, parts)
    found: dict[Window, np.void] = {}
    for part in parts:
        each = np.frombuffer(digests[part].tiles, f"V{TILE_DIGEST}")
        found |= dict(zip(part.tiles(), each, strict=True))
    changed = [bool(found[tile] != one) for tile, one in zip(grid.tiles(), before, strict=True)]
    return replace(update, changed=np.array(changed).reshape(shape), digests=digests)


def _elsewhere(update: Update, opened: OpenedScene, work: Work, probability: Path) -> Update:
    """The same for a result on another grid: all that it may be is a mask to start from."""
    if work.store.raw or not update.refines:
        return replace(update, sources=[], refines=False)
    path = warped(probability, opened.seen, work.store.folder, smooth=True)
    seen = update.ground.seen
    count = update.probability[1] - update.probability[0]
    return replace(
        update, ground=Ground(seen, seen), sources=[(str(path), range(count))],
        probability=(0, count),
    )  # fmt: skip


def _size(raster: Path) -> tuple[int, int]:
    with without_georeferencing_warning(), rasterio.open(raster) as file:
        return file.height, file.width


def without_others(update: Update, store: PartStore) -> None:
    """Removes parts of an interrupted run that had other tiles to do."""
    changed = dict(zip(update.grid.tiles(), update.changed.ravel(), strict=True))
    for part in store.parts:
        if store.path(part).exists():
            ways = store.digests(part).ways
            if any(
                (way != TAKEN) != changed[tile]
                for way, tile in zip(ways, part.tiles(), strict=True)
            ):
                store.path(part).unlink()


def counts(update: Update, store: PartStore) -> tuple[int, int, int]:
    """How many tiles were taken over, started from the earlier mask, and started anew."""
    ways = b"".join(store.digests(part).ways for part in store.parts)
    refined, cold = ways.count(bytes([REFINED])), ways.count(bytes([COLD]))
    return update.grid.tile_count - refined - cold, refined, cold
