"""Which images a training sees, and which choose its weights: once, or fold by fold."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np

from pipelines.config.training import TrainDrive, TrainingSettings, TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.examples import Example, TrainingData
from pipelines.errors import DataError
from pipelines.models.weights import card_of
from pipelines.training.loaders import schedule_of

_LOG = logging.getLogger("rurnet")


Training = TrainRoads | TrainDrive | TrainFolder


Config = TypeVar("Config", bound=TrainingSettings)


@dataclass(frozen=True)
class Split:
    """The images of one training; a cross-validation has one split for each fold.

    Attributes:
        config: Configuration of this training, with its own output.
        kept: Images that it trains on.
        held_out: Images that choose its weights and their threshold.
    """

    config: Training
    kept: Sequence[Example]
    held_out: Sequence[Example]


def splits_of(config: Training, data: TrainingData) -> list[Split]:
    """The trainings of a configuration: one, or one for each fold that is held out.

    Raises:
        DataError: There are too few images to hold some out.
        WeightsError: The weights to start from, or a teacher's, do not exist.
    """
    start = [] if config.start_from is None else [config.start_from]
    met = {name: card_of(name).trained_on for name in (*start, *config.teacher)}
    seen = {image for images in met.values() for image in images}
    if data.grouped_by is not None:
        every = [one for folder in data.folders for one in folder]
        _LOG.info(
            "%d labelled images of %d subjects, going by %s",
            len(every), len(_subjects(every)), data.grouped_by,
        )  # fmt: skip
    splits = _folds(config, data) if config.folds else [_once(config, data, seen)]
    for split, (weights, images) in product(splits, met.items()):
        if again := [name for one in split.held_out if (name := one.source.name) in images]:
            _LOG.warning(
                "%s was trained on %d of %d held-out images (%s): their scores are flattered",
                weights, len(again), len(split.held_out), ", ".join(again),
            )  # fmt: skip
    return splits


def _once(config: Training, data: TrainingData, seen: AbstractSet[str]) -> Split:
    """The split of a single training."""
    every = [one for folder in data.folders for one in folder]
    kept, held_out = every, data.valid
    if not held_out:
        kept, held_out = _hold_out(data.folders, config.held_out_of(len(every)), seen)
    return Split(_bounded(config, kept), kept, held_out)


def _folds(config: Training, data: TrainingData) -> list[Split]:
    """The splits of a cross-validation."""
    every = [one for folder in data.folders for one in folder]
    subjects = list(_subjects(every))
    if config.folds > len(subjects):
        raise DataError(
            f"{len(every)} labelled images of {len(subjects)} subjects cannot be dealt into "
            f"{config.folds} folds; add images of others or give fewer --folds"
        )
    splits = []
    for fold in range(config.folds):
        # Dealt like cards, so that each fold has images from everywhere.
        kept, held_out = _apart(every, subjects[fold :: config.folds])
        own = config.model_copy(
            update={
                "output": config.output / f"fold-{fold + 1}",
                "name": f"{config.name}-{fold + 1}",
            }
        )
        splits.append(Split(_bounded(own, kept), kept, held_out))
    return splits


def _hold_out(
    by_folder: Sequence[Sequence[Example]], counts: Sequence[int], seen: AbstractSet[str]
) -> tuple[list[Example], list[Example]]:
    """Splits off about `counts` images of each folder, by subject; one count is for all folders.

    The choice does not depend on the seed, so that trainings of several seeds can be compared. Nor
    does it follow the order of names: every third image of HRF shows glaucoma. Images that earlier
    weights were trained on come last, as they cannot show what is good on new images.
    """
    if len(counts) == 1:
        by_folder = [[item for items in by_folder for item in items]]
    if len(counts) != len(by_folder):
        raise DataError(
            f"--held-out has {len(counts)} numbers, but there are {len(by_folder)} folders of "
            "images; give one for each, or one for all of them together"
        )
    kept: list[Example] = []
    out: list[Example] = []
    for items, count in zip(by_folder, counts, strict=True):
        if count >= len(items):
            fewer = "hold out fewer with --held-out"
            if count == 1 and len(counts) == 1:  # None held out is refused.
                fewer = "give train-folder images that choose the weights with --valid-images"
            raise DataError(
                f"{len(items)} labelled images, of which {count} are to be held out: none are left "
                f"to train on; add images or {fewer}"
            )
        images = _subjects(items)
        met = {item.subject for item in items if item.source.name in seen}
        shuffled = [list(images)[n] for n in np.random.default_rng(0).permutation(len(images))]
        chosen: list[str] = []
        left = count
        for subject in sorted(shuffled, key=met.__contains__):
            # At least one subject, even if it has more images than wanted.
            if images[subject] <= left or (count and not chosen):
                chosen.append(subject)
                left -= images[subject]
        if len(chosen) == len(images):
            raise DataError(
                f"{len(items)} labelled images are of one subject, who cannot be trained on and "
                "held out: add images of others"
            )
        apart = _apart(items, chosen)
        kept += apart[0]
        out += apart[1]
    held_out = _subjects(out)
    for one in kept:
        if one.subject in held_out:
            raise DataError(
                f"{one.scene_input.source}: trained on, while an image of the same name or subject "
                "in another folder is held out; rename one of them if they show others, or else "
                "keep them in one folder"
            )
    return kept, out


def _subjects(items: Sequence[Example]) -> Counter[str]:
    """Number of images of each subject, in the order of the images."""
    return Counter(item.subject for item in items)


def _apart(
    items: Sequence[Example], subjects: Sequence[str]
) -> tuple[list[Example], list[Example]]:
    """Images of other subjects, and images of these."""
    return (
        [item for item in items if item.subject not in subjects],
        [item for item in items if item.subject in subjects],
    )


def _bounded(config: Config, kept: Sequence[Example]) -> Config:
    """The configuration with its epochs, if they are given, as iterations."""
    if config.epochs is None:
        return config
    pixels = sum(math.prod(one.source.shape()) for one in kept)
    iterations = max(1, round(config.epochs * pixels / schedule_of(config).pixels()))
    return config.model_copy(update={"epochs": None, "iterations": iterations})
