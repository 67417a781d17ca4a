"""`python -m benchmarks.study STUDY CHASE_DB1`: the studies of the papers, on a few real images.

    networks  U-Net, mask fed back, recurrent unit: is recursion better?  (Wang et al., Table 4)
    order     Rec-Simple and U-Net, whose order in the paper *networks* does not reproduce
    alpha     weight of a step's loss relative to the next step's         (Wang et al., slides)
    steps     number of steps in training and in testing                  (Wang et al., slides)
    level     level of the recurrent unit                                 (Wang et al., Table 3)
    feedback  with and without the mask fed back                          (Wang et al., 4.3)
    gates     with and without a ReLU before the gates                    (open in Wang et al.)
    reseg     without VGG, contrast normalisation, class balance          (ReSeg, Tables 1, 4)
    recovery  from a wrong mask, and stability on the right one          (McIntosh et al., 4.2, 4.4)
    training  our additions to the papers' protocol, left out one by one

All runs are trainings of `flows.train_drive` with one crop size and one number of iterations.
Except in *training* they have no averaged weights, damaged starts, random steps or removed
rectangles. Runs with the same seed see the same crops in the same order. *networks* trains on
subjects 1 to 10 and scores the test images (11 to 14). All other studies train on 1 to 8 and score
9 and 10, so that no choice depends on the test images. Runs that are finished in --output, with the
same data, length and crops, are not repeated. Networks are compared image by image. The 95 %
interval is that of the mean difference over 2,000 random draws of subjects (both eyes together) and
seeds. With few seeds and subjects it is too narrow.
"""

import argparse
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.recovery import coarseness, recovery
from pipelines.config.inference import InferDrive
from pipelines.config.training import TrainDrive
from pipelines.datasets.fundus import fundus_samples
from pipelines.inference.run import infer_drive
from pipelines.inputs.fundus import subject_of
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.scores.scores import score_at
from pipelines.training.run import train_vessels

DRAWS = 2000
SCORED_SUBJECTS = ("Image_09", "Image_10")
"""Training images of CHASE_DB1 on which the studies are scored."""


@dataclass(frozen=True)
class Variant:
    """A network and its training settings.

    Attributes:
        name: Name of the row and of the run's folder. Variants with the same name share runs.
        settings: Settings that differ from the defaults of `flows.train_drive`.
    """

    name: str
    settings: Mapping[str, Any] = field_of(default_factory=dict)


def _network(name: str, **arguments: Any) -> Variant:
    """Returns a variant with a network, its arguments given by name."""
    told = " ".join(f"{key}={value}" for key, value in arguments.items())
    return Variant(f"{name} {told}".strip(), {"model": name, "network_arguments": arguments})


def _balanced(name: str, **arguments: Any) -> Variant:
    """Returns the same variant with classes balanced by median frequency."""
    plain = _network(name, **arguments)
    return Variant(
        f"{plain.name} median frequency", {**plain.settings, "foreground_weight": "median"}
    )


DRU = _network("dru-4")
PLAIN: dict[str, Any] = {"ema": 0, "damaged_starts": 0, "random_steps": False, "missing": 0}
"""Switches our additions off, for comparisons of the papers' networks."""
OURS = Variant("all", dict.fromkeys(PLAIN))
"""With all defaults of `flows.train_drive`."""
UNIFORM = Variant("all starts uniform", {**OURS.settings, "damaged_starts": 0})
STUDIES: dict[str, list[Variant]] = {
    "networks": [DRU, _network("unet-gn"), _network("rec-simple")],
    "order": [_network("unet-gn"), _network("rec-simple"),
              *(Variant(f"rec-simple alpha={a}", {"model": "rec-simple", "alpha": a})
                for a in (1.0, 0.0))],
    "alpha": [DRU, *(Variant(f"dru-4 alpha={a}", {"alpha": a}) for a in (1.0, 0.7, 0.1, 0.0))],
    "steps": [DRU, *(Variant(f"dru-4 steps={n}", {"steps": n}) for n in (6, 9, 12))],
    "level": [DRU, *(_network(f"{u}-{n}") for u in ("dru", "sru") for n in (3, 0)),
              _network("sru-4")],
    "feedback": [DRU, _network("dru-4", mask_fed_back=False), _network("rec-middle"),
                 _network("rec-last")],
    "gates": [DRU, _network("dru-4", gate_relu=False)],
    "training": [OURS, UNIFORM, *(
        Variant(name, {**OURS.settings, setting: value}) for name, setting, value in (
            ("weights not averaged", "ema", 0),
            ("always three steps", "random_steps", False),
            ("light unchanged", "augmented", False),
            ("no rectangles taken out", "missing", 0),
            ("early steps weigh more (alpha=0.7)", "alpha", 0.7),
            ("soft Dice too", "dice", 0.5),
        ))],
    "reseg": [_network("reseg"), _network("reseg", contrast_normalisation=True),
              _balanced("reseg"), _network("reseg", vgg=False),
              _network("reseg", vgg=False, contrast_normalisation=True),
              _balanced("reseg", vgg=False)],
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The folders of a study, and the length of its trainings."""

    data: Path
    output: Path
    iterations: int
    crop: int
    seeds: tuple[int, ...]

    def folder(self, variant: Variant, seed: int) -> Path:
        """Returns the folder of one run."""
        return self.output / f"{re.sub(r'[^a-z0-9.-]+', '-', variant.name.lower())}-{seed}"

    def trained(self, variant: Variant, seed: int) -> dict[str, Any]:
        """Returns the test report of a run, and trains it first if there is none."""
        folder = self.folder(variant, seed)
        report = folder / "test" / "report.json"
        if not report.is_file():
            config = TrainDrive(
                data=[self.data], output=folder, name="weights", seed=seed,
                iterations=self.iterations, crop_sizes=[self.crop],
                batch_pixels=2 * self.crop**2, scorings=max(3, self.iterations // 150),
                **{**PLAIN, **variant.settings},
            )  # fmt: skip
            train_vessels(config, Silence())
        read: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return read

    def weights(self, variant: Variant, seed: int) -> Path:
        """Returns the weights file of a run."""
        (path,) = self.folder(variant, seed).glob("*.safetensors")
        return path


def without_test_images(chase: Path, output: Path) -> Path:
    """Links CHASE_DB1's training images in the layout of DRIVE, some as its test split."""
    root = output / "data"
    for sample in fundus_samples(chase, "train"):
        split = "test" if subject_of(sample.name) in SCORED_SUBJECTS else "training"
        for kind, path in (("images", Path(sample.image)), ("1st_manual", sample.label)):
            assert path is not None, f"{sample.name} has no label"
            link = root / split / kind / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(path.resolve())
    return root


def paired(
    first: NDArray[Any], second: NDArray[Any], subjects: Sequence[str]
) -> tuple[float, float, float]:
    """Returns the mean of second - first, and the ends of its 95 % interval.

    Args:
        first: Scores of a network [seeds, images].
        second: Scores of another network [seeds, images].
        subjects: The subject of each image. Both eyes of a subject are drawn together.
    """
    difference = second - first
    random = np.random.default_rng(0)
    seeds = len(difference)
    eyes = [[i for i, s in enumerate(subjects) if s == one] for one in sorted(set(subjects))]
    means = []
    for _ in range(DRAWS):
        drawn = [i for one in random.integers(len(eyes), size=len(eyes)) for i in eyes[one]]
        means.append(difference[random.integers(seeds, size=seeds)][:, drawn].mean())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(difference.mean()), float(low), float(high)


def of_images(reports: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    """Returns the mIoU of each image [seeds, images]."""
    return np.array([[s["class_mean"]["iou"] for s in r["scenes"]] for r in reports])


def compared(study: str, place: Place) -> Table:
    """Returns a table with a row per variant; all are compared with the first."""
    first = STUDIES[study][0].name
    table = Table(study, "mIoU", "F1", "break-even", "mIoU by step", f"mIoU minus {first}'s",
                  "by seed", box=None)  # fmt: skip
    base = None
    for variant in STUDIES[study]:
        reports = [place.trained(variant, seed) for seed in place.seeds]
        ours = of_images(reports)
        base = ours if base is None else base
        pooled = [report["pooled"] for report in reports]
        steps = np.array(
            [[s["pooled"]["class_mean"]["iou"] for s in r["steps"]] for r in reports]
        ).mean(axis=0)
        subjects = [subject_of(scene["name"]) for scene in reports[0]["scenes"]]
        difference = "{:+.4f} ({:+.4f} to {:+.4f})".format(*paired(base, ours, subjects))
        by_seed = " ".join(f"{value:+.3f}" for value in (ours - base).mean(axis=1))
        table.add_row(
            variant.name,
            _mean(p["class_mean"]["iou"] for p in pooled),
            _mean(p["foreground"]["f1"] for p in pooled),
            _mean(p["break_even"]["value"] for p in pooled),
            " ".join(f"{step:.3f}" for step in steps),
            *(("", "") if ours is base else (difference, by_seed)),
        )
    return table


def tested_steps(study: str, place: Place, steps: Sequence[int]) -> Table:
    """Returns a table of the mIoU of each variant, by number of steps in testing."""
    table = Table(study, *(f"tested with {n}" for n in steps), box=None)
    images = place.data / "test" / "images"
    for variant in STUDIES[study]:
        found = []
        for seed in place.seeds:
            place.trained(variant, seed)
            config = InferDrive(
                scenes=[str(images)], labels=images.parent / "1st_manual", save_steps=True,
                steps=max(steps), model=[str(place.weights(variant, seed))], topology=False,
                output=place.folder(variant, seed) / "more-steps", overwrite=True,
            )  # fmt: skip
            every = infer_drive(config, Silence()).report.steps
            found.append([score_at(every[n - 1].pooled, "class_mean.iou") for n in steps])
        table.add_row(variant.name, *(f"{value:.3f}" for value in np.mean(found, axis=0)))
    return table


def trained_recovery(place: Place, variants: Sequence[Variant]) -> Table:
    """Returns `recovery` of variants, and trains them first if needed."""
    networks = {}
    for variant in variants:
        for seed in place.seeds:
            place.trained(variant, seed)
        networks[variant.name] = [load(str(place.weights(variant, seed))) for seed in place.seeds]
    return recovery(place.data, networks)


def _mean(values: Iterator[float]) -> str:
    listed = list(values)
    spread = f" ± {np.std(listed, ddof=1):.3f}" if len(listed) > 1 else ""
    return f"{np.mean(listed):.3f}{spread}"


def main() -> None:
    """Reads the command line and prints the tables of a study."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.study", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("study", choices=[*STUDIES, "recovery"])
    parser.add_argument("data", type=Path, help="folder of CHASE_DB1")
    parser.add_argument("--output", type=Path, default=Path("runs/study"))
    parser.add_argument("--iterations", type=int, help="by default 1500 for networks, else 600")
    parser.add_argument(
        "--crop", type=int, help="side in pixels; by default 256 for networks, else 128"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="by default 1 2 3 for networks, else 1"
    )
    parser.add_argument(
        "--weights", nargs="+", help="for recovery: test these weights instead of training"
    )
    given = parser.parse_args()
    console = Console(width=160)
    if given.weights:
        if given.study != "recovery":
            parser.error("--weights is an option of the study recovery only")
        console.print(recovery(given.data, {name: [load(name)] for name in given.weights}))
        return
    long = given.study == "networks"
    iterations, crop = (
        given.iterations or (1500 if long else 600),
        given.crop or (256 if long else 128),
    )
    # The path contains the settings, so that other runs are not mistaken for these.
    output = given.output / f"{'test' if long else 'training'}-images-{iterations}x{crop}px"
    place = Place(
        given.data if long else without_test_images(given.data, output),
        output,
        iterations,
        crop,
        tuple(given.seeds or ([1, 2, 3] if long else [1])),
    )
    tables: list[Callable[[], Table]] = {
        "recovery": [
            lambda: trained_recovery(place, [DRU, _network("rec-simple"), _network("canvas")]),
            lambda: coarseness(place.data),
        ],
        "steps": [
            lambda: compared("steps", place),
            lambda: tested_steps("steps", place, (3, 6, 9, 12)),
        ],
        "training": [
            lambda: compared("training", place),
            lambda: tested_steps("training", place, (1, 2, 3, 6)),
            lambda: trained_recovery(place, [OURS, UNIFORM]),
        ],
    }.get(given.study, [lambda: compared(given.study, place)])
    for table in tables:
        console.print(table())
        console.print()
    console.print(
        f"{place.iterations} iterations of 2 crops of {place.crop} px, seeds "
        f"{', '.join(map(str, place.seeds))}; scored: {place.data}, test split"
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    main()
