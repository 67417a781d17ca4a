"""Which images a training sees, and which choose its weights: once, or fold by fold."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pipelines.data import Example, TrainingData
from pipelines.errors import DataError
from pipelines.loading import plan_of
from pipelines.training_config import TrainDrive, TrainFolder, TrainingSettings, TrainRoads

Training = TrainRoads | TrainDrive | TrainFolder
Config = TypeVar("Config", bound=TrainingSettings)


@dataclass(frozen=True)
class Split:
    """One training: of a cross-validation there are several.

    Attributes:
        config: What it is told; its output is its own.
        kept: What it trains on.
        held_out: What chooses its weights and their threshold.
    """

    config: Training
    kept: Sequence[Example]
    held_out: Sequence[Example]


def splits_of(config: Training, data: TrainingData) -> list[Split]:
    """What is trained: once, or with each fold held out in turn.

    Raises:
        DataError: Too few images to hold some out.
    """
    every = [one for folder in data.folders for one in folder]
    if not config.folds:
        kept, held_out = every, data.valid
        if not held_out:
            kept, held_out = _hold_out(data.folders, config.held_out_of(len(every)))
        return [Split(_bounded(config, kept), kept, held_out)]
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
    by_folder: Sequence[Sequence[Example]], counts: Sequence[int]
) -> tuple[list[Example], list[Example]]:
    """Splits off about so many images of each folder, by subject; one count is of them all.

    Which ones does not depend on the seed, so that trainings of several seeds compare, nor on the
    order of their names: each third image of HRF is one with glaucoma.
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
            raise DataError(
                f"{len(items)} labelled images, of which {count} are to be held out: none are left "
                "to train on; add images or hold out fewer with --held-out"
            )
        images = _subjects(items)
        chosen: list[str] = []
        left = count
        for number in np.random.default_rng(0).permutation(len(images)):
            subject = list(images)[number]
            # Rather one image more than none.
            if images[subject] <= left or not chosen:
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
                f"{one.job.source}: trained on, while an image of the same name or subject in "
                "another folder is held out; rename one of them if they show others, or else keep "
                "them in one folder"
            )
    return kept, out


def _subjects(items: Sequence[Example]) -> Counter[str]:
    """How many images there are of each, in the order of the images."""
    return Counter(item.subject for item in items)


def _apart(
    items: Sequence[Example], subjects: Sequence[str]
) -> tuple[list[Example], list[Example]]:
    """Images of others, and of these subjects."""
    return (
        [item for item in items if item.subject not in subjects],
        [item for item in items if item.subject in subjects],
    )


def _bounded(config: Config, kept: Sequence[Example]) -> Config:
    """Epochs, if they are given, as iterations."""
    if config.epochs is None:
        return config
    pixels = sum(math.prod(one.source.shape()) for one in kept)
    iterations = max(1, round(config.epochs * pixels / plan_of(config).pixels()))
    return config.model_copy(update={"epochs": None, "iterations": iterations})
