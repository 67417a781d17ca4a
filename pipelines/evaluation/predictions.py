"""The predicted rasters that are scored: runs of ours, folders of rasters, or single ones."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.config.evaluation import Evaluate
from pipelines.errors import DataError
from pipelines.inputs.discovery import expanded, rasters_in
from pipelines.report.figures import FIGURES
from pipelines.results.layout import STEP
from tiling.scenes.files import EXTENSIONS, stem_of
from tiling.scenes.raster import is_local

OURS = ("probability", "mask")
"""Names of our rasters; the folder they lie in has the scene's name."""


@dataclass(frozen=True)
class PredictedRun:
    """Rasters that were predicted, by scene and by what they are ("probability", ...)."""

    name: str
    scenes: Mapping[str, Mapping[str, Path]]


def predicted_runs(predictions: Sequence[str]) -> list[PredictedRun]:
    """One run, or two that are to be compared."""
    for name in predictions:
        if is_local(name) and not glob.has_magic(name) and not Path(name).exists():
            raise DataError(f"{name}: no such file or folder; check the path")
    folders = [name for name in predictions if Path(name).is_dir()]
    if folders:
        if len(folders) != len(predictions) or len(folders) > 2:
            raise DataError(
                f"{', '.join(predictions)}: give one folder, two that are to be compared, "
                "or rasters"
            )
        return [PredictedRun(folder, _in_folder(Path(folder))) for folder in folders]
    paths = [Path(name) for name in expanded(predictions, rasters_in)]  # Globs.
    scenes = [(_scene_of(path), {"probability": path}) for path in paths]
    if len(scenes) == 2 and scenes[0][0] == scenes[1][0]:
        return [PredictedRun(str(files["probability"]), {scene: files}) for scene, files in scenes]
    return [PredictedRun(predictions[0], _by_scene(scenes))]


def _in_folder(folder: Path) -> dict[str, dict[str, Path]]:
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


def _inferred(folder: Path) -> tuple[str, dict[str, Path]] | None:
    """The scene's name and rasters; where it has no probabilities, its mask is scored."""
    files = {path.stem: path for path in sorted(folder.glob("*.tif"))}
    if not set(OURS) & set(files):
        return None
    if "probability" not in files:
        files["probability"] = files["mask"]
    return folder.resolve().name, files


def _scene_of(path: Path) -> str:
    ours = path.stem in OURS or path.stem.startswith(STEP)
    return path.resolve().parent.name if ours else stem_of(str(path))


def _by_scene(scenes: Sequence[tuple[str, dict[str, Path]]]) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for scene, files in scenes:
        if scene in found:
            raise DataError(
                f"{found[scene]['probability']} and {files['probability']} are both of scene "
                f"{scene}; leave one out"
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


def chosen_rasters(files: Mapping[str, Path], config: Evaluate) -> dict[str, Path]:
    """The rasters to score: all of them, or the mask alone where masks are asked for."""
    if config.kind == "mask" and "mask" in files:
        return {"probability": files["mask"]}
    return dict(files)
