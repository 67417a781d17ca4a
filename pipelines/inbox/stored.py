"""Outcomes of scenes as texts, so that a later run's report can tell of them without new work.

Plain JSON: reading it runs no code, and makes values of the classes that are listed here only.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from affine import Affine

from pipelines.inputs.labels import Labelling
from pipelines.inputs.scene_input import FieldUsed, StacItem
from pipelines.measurements.certainty import Place
from pipelines.measurements.measured import SceneMeasures
from pipelines.measurements.network import Network
from pipelines.measurements.vessels import Node, Segment, Stretch, VesselTree
from pipelines.results.lines import LinesFound
from pipelines.results.outcome import (
    Prediction,
    SceneErrors,
    SceneOutcome,
    SceneScores,
    Updated,
)
from pipelines.scores.counts import OwnThreshold, SceneCounts
from tiling.scenes.ground import PixelSize
from tiling.window import Window

_KIND = "is"
"""Key that says what a JSON object stands for."""

_CLASSES = {
    each.__name__: each
    for each in (
        FieldUsed, Labelling, LinesFound, Network, Node, OwnThreshold, PixelSize, Place, Prediction,
        SceneCounts, SceneErrors, SceneMeasures, SceneOutcome, SceneScores, Segment, StacItem,
        Stretch, Updated, VesselTree, Window,
    )
}  # fmt: skip

_NOT_STORED = ("open_raster",)


def as_text(outcome: SceneOutcome) -> str:
    """An outcome as text. `from_text` gives it back, with all numbers as they were."""
    return json.dumps(_plain(outcome))


def from_text(text: str) -> SceneOutcome:
    """The outcome that a text stands for.

    Raises:
        ValueError: It is that of another version.
    """
    try:
        outcome = _restored(json.loads(text))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no outcome of this version: {error}") from error
    if not isinstance(outcome, SceneOutcome):
        raise ValueError("no outcome of a scene")
    return outcome


def _plain(value: Any) -> Any:
    name = type(value).__name__
    if name == "ErrorRegion":
        outline = value.outline.wkb_hex
        return {_KIND: name, "kind": value.kind, "pixels": value.pixels, "outline": outline}
    if is_dataclass(value):
        assert name in _CLASSES, name
        kept = [field.name for field in fields(value) if field.name not in _NOT_STORED]
        return {_KIND: name, **{each: _plain(getattr(value, each)) for each in kept}}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes())).decode()
        return {_KIND: "array", "type": value.dtype.str, "shape": list(value.shape), "data": data}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Affine):  # A tuple too.
        return {_KIND: "Affine", "of": list(value)[:6]}
    if isinstance(value, tuple):
        return {_KIND: "tuple", "of": [_plain(each) for each in value]}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {_KIND: "dict", "of": [[key, _plain(each)] for key, each in value.items()]}
    if isinstance(value, Path):
        return {_KIND: "Path", "of": str(value)}
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value[_KIND]
    if kind in _CLASSES:
        made: Any = _CLASSES[kind]
        return made(**{name: _restored(each) for name, each in value.items() if name != _KIND})
    if kind == "ErrorRegion":
        # Imported here: of the reports, only those with labels and coordinates need shapely.
        from shapely import from_wkb

        from pipelines.measurements.errors import ErrorRegion

        return ErrorRegion(value["kind"], value["pixels"], from_wkb(value["outline"]))
    if kind == "array":
        data = zlib.decompress(base64.b64decode(value["data"]))
        array = np.frombuffer(data, np.dtype(cast(str, value["type"]))).reshape(value["shape"])
        return array.copy()
    of = value["of"]
    if kind == "Affine":
        return Affine(*of)
    if kind == "tuple":
        return tuple(map(_restored, of))
    if kind == "dict":
        return {key: _restored(each) for key, each in of}
    if kind == "Path":
        return Path(of)
    raise KeyError(kind)
