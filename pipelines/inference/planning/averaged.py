"""Whether weights can predict together, and what they are asked."""

from collections.abc import Sequence

from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.errors import PipelineError
from pipelines.models.weights import ModelFacts, steps_taken


def check_models(models: Sequence[ModelFacts], settings: PredictionSettings) -> None:
    """Whether the models can be averaged, and take the steps that are asked for.

    Raises:
        PipelineError: They cannot, or do not.
    """
    first = models[0]
    if settings.threshold == AUTO and len(first.card.classes) > 2:
        raise PipelineError(
            f"{first.name}: finds {len(first.card.classes) - 1} classes, but --threshold auto "
            "chooses for one; give a number"
        )
    for model in models:
        if settings.steps not in (None, 1) and model.network.one_shot:
            raise PipelineError(
                f"{model.name}: a one-shot network has one step, not {settings.steps}; "
                + ("leave --steps out" if len(models) == 1 else "give --steps 1")
            )
        for what, value, other in (
            ("classes", first.card.classes, model.card.classes),
            ("bands", len(first.card.mean), len(model.card.mean)),
            ("metres per pixel", first.card.ground_sampling_distance,
             model.card.ground_sampling_distance),
            ("diameters of the field of view", first.card.field_diameters,
             model.card.field_diameters),
            ("value range", settings.value_range or first.card.value_range,
             settings.value_range or model.card.value_range),
            ("steps", steps_taken([first], settings.steps), steps_taken([model], settings.steps)),
        ):  # fmt: skip
            if value != other:
                most = min(steps_taken([one], settings.steps) for one in models)
                remedy = f"give --steps {most}" if what == "steps" else "choose weights that agree"
                raise PipelineError(
                    f"{first.name} and {model.name} cannot be averaged: {what} {value} and "
                    f"{other}; {remedy}"
                )


def check_bands(config: InferRoads | InferDrive, models: Sequence[ModelFacts]) -> None:
    """Whether as many bands are chosen as the network takes.

    Raises:
        PipelineError: More or fewer.
    """
    wanted = len(models[0].card.mean)
    if config.band_indexes is not None and len(config.band_indexes) != wanted:
        raise PipelineError(
            f"--bands {config.bands}: {len(config.band_indexes)} bands, but {models[0].name} "
            f"takes {wanted}"
        )
