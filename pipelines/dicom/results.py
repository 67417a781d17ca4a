"""Writes DICOM results beside the rasters of photographs that came as DICOM."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.dicom.segmentation import segmentation, segmentation_uid
from pipelines.dicom.source import read_source, software_of
from pipelines.dicom.structured_report import report_uid, structured_report
from pipelines.errors import PipelineError
from pipelines.measurements.vessels import VesselTree
from pipelines.models.weights import ModelFacts, Steps, steps_taken
from pipelines.results.outcome import SceneOutcome
from tiling.dicom.names import is_dicom, meta_of, parted
from tiling.dicom.unquoted import unquoted
from tiling.disk import appearing, refusals_named
from tiling.errors import TilingError
from tiling.readers.files import open_scene
from tiling.window import Window

_LOG = logging.getLogger("rurnet")

MASK, REPORT = "mask.dcm", "measurements.dcm"

FILES = (MASK, REPORT)
"""All that may be written of a scene."""


def with_dicom_results(
    outcomes: Sequence[SceneOutcome], models: Sequence[ModelFacts], steps: Steps
) -> list[SceneOutcome]:
    """The outcomes, with the DICOM files of each photograph that came as DICOM.

    These are a segmentation and, of what was measured, a structured report. Each appears whole or
    not at all; one that says the same already is left as it is. What goes wrong is a remark.

    Args:
        outcomes: Of each scene.
        models: What predicted.
        steps: That were asked for; None for those of the training.
    """
    return [
        _written(one, models, steps_taken(models, steps))
        if one.done and one.image is not None and is_dicom(parted(one.image)[0])
        else one
        for one in outcomes
    ]


def _written(outcome: SceneOutcome, models: Sequence[ModelFacts], steps: int) -> SceneOutcome:
    try:
        with unquoted():
            made, told = _write(outcome, models, steps)
        for remark in told:
            _LOG.warning("%s", remark)
        return replace(outcome, files={**outcome.files, **made}, remarks=(*outcome.remarks, *told))
    except (PipelineError, TilingError) as error:
        said = str(error)
    except Exception as error:
        # What others say may quote the file, too.
        said = (
            f"{outcome.name}: DICOM results cannot be written ({type(error).__name__}), as "
            "something in its file is not as DICOM has it; --no-dicom-results leaves them out"
        )
    _LOG.warning("%s", said)
    return replace(outcome, remarks=(*outcome.remarks, said))


def _write(
    outcome: SceneOutcome, models: Sequence[ModelFacts], steps: int
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Writes what is not there yet; returns the files, and what a person should know of them."""
    assert outcome.image is not None
    assert outcome.prediction is not None
    folder = Path(outcome.files["mask"]).parent
    file, frame = parted(outcome.image)
    source, told = read_source(file, outcome.name)
    software = software_of(models, steps, outcome.prediction.threshold)
    classes = models[0].card.classes[1:]
    with open_scene(outcome.files["mask"], bands=1) as raster:
        pixels, _ = raster.read(Window(0, 0, raster.height, raster.width))
    uid = segmentation_uid(source, frame, pixels[0], classes, software)
    measures = outcome.measures
    numbers = None
    if measures is not None and isinstance(measures.lines, VesselTree) and len(classes) == 1:
        numbers = measures.numbers
    made = {"segmentation": folder / MASK}
    if numbers is not None:
        made["structured report"] = folder / REPORT
    else:
        (folder / REPORT).unlink(missing_ok=True)
    if _is(folder / MASK, uid) and (
        numbers is None or _is(folder / REPORT, report_uid(uid, numbers))
    ):
        return made, told
    found = segmentation(source, frame, pixels[0], classes, software)
    _save(found, folder / MASK)
    if numbers is not None:
        _save(
            structured_report(source, frame, found, numbers, outcome.laterality, software),
            folder / REPORT,
        )
    return made, told


def _is(path: Path, uid: str) -> bool:
    meta = meta_of(path)
    return meta is not None and meta.instance == uid


def _save(data: Any, path: Path) -> None:
    with refusals_named(path), appearing(path) as partial:
        data.save_as(partial)
