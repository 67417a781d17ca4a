"""The scenes that an inference is asked for, and how its options and weights have them read."""

import logging
from collections.abc import Sequence

from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.inputs.discovery import fundus_inputs, road_inputs
from pipelines.inputs.labels import labelling_of
from pipelines.inputs.normalisation import WantedRange
from pipelines.inputs.opening import Reading
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import ModelFacts

_LOG = logging.getLogger("rurnet")


def items_of(
    config: InferRoads | InferDrive, models: Sequence[ModelFacts], scenes: Sequence[str]
) -> list[SceneInput]:
    """The inputs of scenes.

    Args:
        config: What is asked for.
        models: What is to predict: scenes are read as it was trained.
        scenes: Those of `config`, or some of them.

    Raises:
        DataError: A folder or glob holds no scene, or the labels' folder is missing.
    """
    card = models[0].card
    bands = config.band_indexes or len(card.mean)
    pixel_told = config.pixel_size if isinstance(config, InferRoads) else None
    labelling = labelling_of(len(card.classes), config.ignored_values, config, pixel_told)
    if isinstance(config, InferRoads):
        reading = Reading(
            bands=bands,
            gsd=config.gsd or card.ground_sampling_distance,
            gsd_wanted=config.gsd is not None,
            pixel_told=pixel_told,
            any_scale=config.any_scale,
            area=config.aoi,
            white_is_nodata=config.white_is_nodata,
            labelling=labelling,
            value_range=_value_range(config, models),
        )
        return road_inputs(list(scenes), config.labels, reading)
    reading = Reading(
        bands=bands,
        field_diameters=card.field_diameters,
        scale=config.scale,
        field_source=config.field_source,
        micrometres=config.micrometres_per_pixel,
        labelling=labelling,
        value_range=_value_range(config, models),
    )
    return fundus_inputs(list(scenes), config.labels, reading)


def _value_range(config: InferRoads | InferDrive, models: Sequence[ModelFacts]) -> WantedRange:
    """The range that is asked for, or else the one that the weights were trained with."""
    if config.value_range == AUTO:
        return AUTO
    return config.value_ends or models[0].card.value_range


def log_remarks(opened: OpenedScene) -> None:
    """Logs what a person should know of how a scene was read."""
    if opened.field is not None:
        _LOG.info("%s: %s", opened.scene.name, opened.field)
    for remark in opened.remarks:
        _LOG.warning("%s", remark)
