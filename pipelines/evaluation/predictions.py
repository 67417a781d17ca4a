"""The predicted rasters that are scored: runs of ours, folders of rasters, or single ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DataError
from pipelines.inputs.discovery import expanded, rasters_in
from pipelines.report.figures import FIGURES
from pipelines.results.layout import STEP
from pipelines.results.levels import Kind
from tiling.readers.files import EXTENSIONS
from tiling.scenes.names import is_local, kind_of, shown, stem_of

OURS = ("probability", "mask")
"""Names of our rasters; the folder they lie in has the scene's name."""


@dataclass(frozen=True)
class PredictedRun:
    """Rasters that were predicted, by scene and by what they are ("probability", ...)."""

    name: str
    scenes: Mapping[str, Mapping[str, Path | str]]


def predicted_runs(predictions: Sequence[str]) -> list[PredictedRun]:
    """One run, or two that are to be compared."""
    for name in predictions:
        if kind_of(name) == "path" and not Path(name).exists():
            raise DataError(f"{name}: no such file or folder; check the path")
    folders = [name for name in predictions if is_local(name) and Path(name).is_dir()]
    if folders:
        if len(folders) != len(predictions) or len(folders) > 2:
            raise DataError(
                f"{', '.join(predictions)}: give one folder, two that are to be compared, "
                "or rasters"
            )
        return [PredictedRun(folder, _in_folder(Path(folder))) for folder in folders]
    names = expanded(predictions, rasters_in)  # Globs.
    scenes = [(_scene_of(name), {"probability": _raster(name)}) for name in names]
    if len(scenes) == 2 and scenes[0][0] == scenes[1][0]:
        return [
            PredictedRun(shown(files["probability"]), {scene: files}) for scene, files in scenes
        ]
    return [PredictedRun(shown(predictions[0]), _by_scene(scenes))]


def _in_folder(folder: Path) -> dict[str, Mapping[str, Path | str]]:
    """The scenes of a folder that was inferred to, or of one of rasters."""
    inferred = [_inferred(inside) for inside in (folder, *sorted(folder.iterdir()))]
    if ours := [scene for scene in inferred if scene is not None]:
        return _by_scene(ours)
    paths = [path for path in map(Path, rasters_in(folder, EXTENSIONS)) if path.stem not in FIGURES]
    if not paths:
        raise DataError(
            f"{folder}: no predicted rasters in it ({', '.join(EXTENSIONS)}); check the path"
        )
    return _by_scene([(stem_of(path.name), {"probability": path}) for path in paths])


def holds_results(folder: Path) -> bool:
    """Whether a folder is one that was inferred to."""
    return folder.is_dir() and any(
        _inferred(inside) is not None for inside in (folder, *sorted(folder.iterdir()))
    )


def _inferred(folder: Path) -> tuple[str, dict[str, Path]] | None:
    """The scene's name and rasters; where it has no probabilities, its mask is scored."""
    files = {path.stem: path for path in sorted(folder.glob("*.tif"))}
    if not set(OURS) & set(files):
        return None
    if "probability" not in files:
        files["probability"] = files["mask"]
    return folder.resolve().name, files


def _raster(name: str) -> Path | str:
    """A local file as a path; what is none stays text: a path would shorten its slashes."""
    return Path(name) if is_local(name) else name


def _scene_of(name: str) -> str:
    if not is_local(name):
        return stem_of(name)
    path = Path(name)
    ours = path.stem in OURS or path.stem.startswith(STEP)
    return path.resolve().parent.name if ours else path.stem


def _by_scene(
    scenes: Sequence[tuple[str, Mapping[str, Path | str]]],
) -> dict[str, Mapping[str, Path | str]]:
    found: dict[str, Mapping[str, Path | str]] = {}
    for scene, files in scenes:
        if scene in found:
            raise DataError(
                f"{shown(found[scene]['probability'])} and {shown(files['probability'])} are both "
                f"of scene {scene}; leave one out"
            )
        found[scene] = files
    return found


def last_step(run: PredictedRun) -> PredictedRun:
    """The run without the rasters of its recurrent steps."""
    return PredictedRun(
        run.name,
        {
            scene: {kind: path for kind, path in files.items() if kind in OURS}
            for scene, files in run.scenes.items()
        },
    )


def chosen_rasters(files: Mapping[str, Path | str], kind: Kind) -> dict[str, Path | str]:
    """The rasters to score: all of them, or the mask alone where masks are asked for."""
    if kind == "mask" and "mask" in files:
        return {"probability": files["mask"]}
    return dict(files)
