"""What a scene's results were made from: so that a rerun goes on, starts anew, or is refused."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tiling.digests import TILE_DIGEST, Digests
from tiling.disk import appearing, locked, refusals_named, remove_half_written
from tiling.errors import ManifestError
from tiling.fingerprint import fingerprint, other_files, same_input, same_place
from tiling.grid import Grid
from tiling.part import Part
from tiling.scenes.scene import Scene
from tiling.stitch import part_digest
from tiling.store import SUFFIX, PartStore
from tiling.window import Window

MANIFEST = "manifest.json"

PARTS = ".parts"
"""Hidden folder, beside the results, of what is not finished yet."""

TILES = "tiles"
"""Among the hashes of parts, those of all tiles, row by row; parts are named by numbers."""

_SAID = {"from": "another earlier result (--from, --sequence):"}
"""How settings are called that have another name than their option, in errors."""

_FORM = ("height", "width", "bands", "type")


@dataclass(frozen=True)
class Manifest:
    """The fingerprint of a result and the plan it is made by.

    Attributes:
        input: Size, bands and type of the scene, a hash of samples of its pixels, its files'
            sizes and times, and hashes of small files beside it. Of a changed input only what
            says so is computed anew: see `tiling.fingerprint.fingerprint`.
        settings: Everything else that changes the result: weights, tile, overlap, ...
        part_size: How the work is cut; a rerun keeps to it, whatever it is told.
        parts: Of a finished result, a hash of the pixels of each part; and of all tiles, under
            `TILES`, unless an earlier release has made a part of it.
        outputs: Of a finished result, its files and their sizes in bytes.
        derived: Files that were made of these: they go when these go, and need not be there.
    """

    input: dict[str, Any]
    settings: dict[str, Any]
    part_size: int
    parts: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """What a file says; None where there is none.

        Raises:
            ManifestError: It is no manifest.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ManifestError(
                f"{path}: not a manifest of this version ({error}); "
                "give --overwrite to start afresh, or another --output"
            ) from error

    def write(self, path: Path) -> None:
        """Writes the file; it appears whole or not at all."""
        contents = asdict(self)
        if not self.derived:
            del contents["derived"]  # Earlier releases do not know of it.
        with refusals_named(path), appearing(path) as partial:
            partial.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Work:
    """What there is of a scene's result, and what is to be done.

    Attributes:
        folder: Where the results go.
        manifest: What they are made from.
        store: The parts; its folder is there only while they are not finished.
        finished: Whether the results are there already.
    """

    folder: Path
    manifest: Manifest
    store: PartStore
    finished: bool

    def finish(
        self, outputs: Mapping[str, Path], digests: Mapping[Part, Digests] | None = None
    ) -> None:
        """Notes what was made, and removes the parts.

        Args:
            outputs: The files.
            digests: Of all parts; None to take them from the store.
        """
        found = digests or {part: self.store.digests(part) for part in self.store.parts}
        parts = {part.name: found[part].part for part in self.store.parts}
        tiles = _in_order(self.store.grid, found)
        sizes = {path.name: path.stat().st_size for path in outputs.values()}
        noted = parts | ({TILES: tiles.hex()} if tiles else {})
        replace(self.manifest, parts=noted, outputs=sizes).write(self.folder / MANIFEST)
        shutil.rmtree(self.store.folder)

    def derive(self, names: Sequence[str]) -> None:
        """Notes which files are about to be made of the finished results."""
        manifest = Manifest.read(self.folder / MANIFEST)
        if manifest is not None and not set(names) <= set(manifest.derived):
            every = sorted({*manifest.derived, *names})
            replace(manifest, derived=every).write(self.folder / MANIFEST)


@contextmanager
def working(
    folder: Path,
    scene: Scene,
    grid: Grid,
    settings: Mapping[str, Any],
    part_size: int,
    bands: int,
    *,
    raw: bool = False,
    overwrite: bool = False,
    whole: Sequence[str | Path] = (),
    names: Sequence[str] = (),
) -> Iterator[Work]:
    """Opens the folder of a scene's results, to go on with what is there.

    One run at a time works in a folder. What was computed stays when this ends with an error,
    so that the next run goes on; a folder in which nothing was computed is removed again.

    Args:
        folder: Where the results go; made with its parents.
        scene: What is read.
        grid: Its tiles.
        settings: Everything besides the scene that changes the result; plain JSON values.
        part_size: How the work is cut, where it has not begun yet.
        bands: Bands of the parts.
        raw: See `PartStore`.
        overwrite: Drop what is there.
        whole: See `tiling.fingerprint.fingerprint`.
        names: Files that are to be made: those of others are not replaced.

    Raises:
        ManifestError: What is there was made with other settings, or by something else.
        SinkError: The disk refuses, or another run is at work.
    """
    now = Manifest(fingerprint(scene, whole), dict(settings), part_size)
    parts = folder / PARTS
    made = not folder.exists()
    with refusals_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        try:
            with refusals_named(folder):
                remove_half_written(folder)
            if overwrite:
                with suppress(ManifestError):
                    _forget(folder, Manifest.read(folder / MANIFEST))
                _forget(folder, None)
            if not overwrite and (error := refused(folder, settings, names)) is not None:
                raise error
            old = _kept(folder, now, scene, grid, whole)
            plan = old or now
            store = PartStore(parts, grid, grid.parts(plan.part_size), bands, raw)
            if old is None or not old.outputs:
                with refusals_named(parts):
                    parts.mkdir(exist_ok=True)
                    for left in parts.iterdir():
                        if left.suffix != SUFFIX:
                            left.unlink()  # A killed run was at it, or a full disk ended it.
                plan.write(parts / MANIFEST)
            yield Work(folder, plan, store, bool(plan.outputs))
        finally:
            if not _parts_in(parts):
                shutil.rmtree(parts, ignore_errors=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()


def _in_order(grid: Grid, digests: Mapping[Part, Digests]) -> bytes:
    """The digests of all tiles of a grid, row by row; empty where some are not known."""
    by_tile: dict[Window, bytes] = {}
    for part, known in digests.items():
        ends = range(0, len(known.tiles), TILE_DIGEST)
        each = (known.tiles[end : end + TILE_DIGEST] for end in ends)
        by_tile |= dict(zip(part.tiles(), each, strict=False))
    if len(by_tile) < grid.tile_count:
        return b""
    return b"".join(by_tile[tile] for tile in grid.tiles())


def finished(folder: Path) -> Manifest | None:
    """The manifest of a finished result whose files are all there; None where there is none.

    Raises:
        ManifestError: It cannot be read.
    """
    manifest = Manifest.read(folder / MANIFEST)
    if manifest is None or not manifest.outputs or not _whole(folder, manifest):
        return None
    return manifest


def settings_of(folder: Path) -> dict[str, Any] | None:
    """The settings of what is there, finished or not; None where nothing is.

    Raises:
        ManifestError: They cannot be read.
    """
    old = Manifest.read(folder / MANIFEST) or _begun(folder)
    return None if old is None else old.settings


def refused(
    folder: Path, settings: Mapping[str, Any], names: Sequence[str] = ()
) -> ManifestError | None:
    """The error by which a run would end at once; None where there is none.

    Args:
        folder: Of the results.
        settings: Everything besides the scene that changes them.
        names: Files that are to be made.
    """
    old = settings_of(folder)
    if old is None:
        others = [name for name in names if (folder / name).exists()]
        if not others or (folder / PARTS / MANIFEST).exists():
            return None
        return ManifestError(
            f"{folder / others[0]}: is there already, but no {MANIFEST} beside it says what it was "
            "made from; give another --output, or --overwrite to replace it"
        )
    if not (differences := _differences(old, settings)):
        return None
    return ManifestError(
        f"{folder}: what is there was made with {differences}; "
        "give --overwrite to start afresh, or another --output"
    )


def _begun(folder: Path) -> Manifest | None:
    """What a run was doing that was interrupted; None where it left no part."""
    return Manifest.read(folder / PARTS / MANIFEST) if _parts_in(folder / PARTS) else None


def _kept(
    folder: Path, now: Manifest, scene: Scene, grid: Grid, whole: Sequence[str | Path]
) -> Manifest | None:
    """The manifest of what can be used of an earlier run; what cannot be is removed.

    Raises:
        ManifestError: It cannot be read.
    """
    ended = Manifest.read(folder / MANIFEST)
    old = ended or _begun(folder)
    if ended is not None:
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    if old is None or not _whole(folder, old) or not _same_form(old, now):
        _forget(folder, old)
        return None
    if old.input == now.input:
        return old
    if same_input(old.input, now.input):
        return _noted(folder, replace(old, input=now.input))
    placed = [folder / name for name in old.outputs if name.endswith(".tif")]
    if other_files(old.input, now.input, whole) or not all(same_place(p, scene) for p in placed):
        _forget(folder, old)
        return None
    # The file was touched, or changed: its pixels will tell which parts are still right.
    store = PartStore(folder / PARTS, grid, grid.parts(old.part_size), 1)
    for part in store.parts:
        if ended is not None:
            if old.parts[part.name] != part_digest(scene, grid, part):
                _forget(folder, old)
                return None
        elif store.path(part).exists() and store.digests(part).part != part_digest(
            scene, grid, part
        ):
            store.path(part).unlink()
    return _noted(folder, replace(old, input=now.input))


def _noted(folder: Path, manifest: Manifest) -> Manifest:
    """A manifest that has been brought up to date, which is written if the result is finished."""
    if manifest.outputs:
        manifest.write(folder / MANIFEST)
    return manifest


def _parts_in(folder: Path) -> bool:
    """Whether there is a part in a folder."""
    return any(folder.glob(f"*{SUFFIX}"))


def _forget(folder: Path, manifest: Manifest | None) -> None:
    """Drops what there is of a result, finished rasters too: they are of something else."""
    with refusals_named(folder):
        for name in (*manifest.outputs, *manifest.derived) if manifest else ():
            (folder / name).unlink(missing_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder / PARTS, ignore_errors=True)


def _whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the files that a manifest names are there."""
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in manifest.outputs.items()
    )


def _same_form(old: Manifest, now: Manifest) -> bool:
    """Whether two inputs are of one size, number of bands and type."""
    return all(old.input.get(key) == now.input[key] for key in _FORM)


def _differences(old: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings that differ, by name: "tile 512 (now 256)"."""
    names = [name for name in {**old, **now} if old.get(name) != now.get(name)]
    return ", ".join(
        f"{_SAID.get(name, name)} {old.get(name)} (now {now.get(name)})" for name in names
    )
