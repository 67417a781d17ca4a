"""What is asked for, once the weights are known."""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from statistics import fmean

from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.inference.planning.averaged import check_bands
from pipelines.models.weights import ModelFacts

_PART_IN_TIME = 1280
"""Side of the parts, at most, of a run that has to be over in time."""


def settled(
    config: InferRoads | InferDrive, models: Sequence[ModelFacts]
) -> InferRoads | InferDrive:
    """Returns what is asked for, with what the weights and a limit of time decide.

    Raises:
        PipelineError: The network takes more bands, or fewer.
    """
    check_bands(config, models)
    if config.noted_threshold:
        noted = fmean(model.card.threshold for model in models)
        config = config.model_copy(update={"threshold": noted, "noted_threshold": False})
    if config.limited:
        # Parts are the smallest pieces between which the number of steps can change.
        part_size = min(config.part_size, _PART_IN_TIME)
        config = config.model_copy(update={"steps": AUTO, "part_size": part_size})
    return config


def made_with(config: InferRoads | InferDrive, models: Sequence[ModelFacts]) -> str:
    """Stands for all that a report of several runs must have in common."""
    values = {
        **config.of_the_report(),
        "model": [f"{model.name} {model.digest}" for model in models],
        "version": version("rurnet"),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
