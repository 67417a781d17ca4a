"""`python -m benchmarks.study STUDY CHASE_DB1`: the studies of the papers, on a few real images.

    networks  U-Net, mask fed back, recurrent unit: does recursion pay?  (Wang et al., Table 4)
    order     Rec-Simple against U-Net, whose order in the paper networks does not show
    alpha     weight of a step's loss against the next one's              (Wang et al., slides)
    steps     steps in training and in testing                            (Wang et al., slides)
    level     where the recurrent unit begins                             (Wang et al., Table 3)
    feedback  with and without the mask fed back                          (Wang et al., 4.3)
    gates     with and without a ReLU ahead of the gates                  (open in Wang et al.)
    reseg     without VGG, contrast normalisation, class balance          (ReSeg, Tables 1, 4)
    recovery  from a wrong mask, and staying on the right one            (McIntosh et al., 4.2, 4.4)
    training  what our own protocol has besides the papers', left out part by part

Every run is `flows.train_drive`'s with crops of one size and one budget, and, but for those of
*training*, without averaged weights, damaged starts, random steps and rectangles taken out of the
crops; runs of one seed see the same crops in the same order. *networks* trains on subjects 1 to 10
and scores the test images (11 to 14); all others train on 1 to 8 and score 9 and 10, so that
nothing is chosen by the test images. A run of the same data, length and crops that is done in
--output is not done again. Two networks are compared image by image: the interval (95 %) is of the
mean difference, with subjects (both eyes together) and seeds drawn anew 2,000 times. Of few seeds
and subjects it is too narrow.
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
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from pipelines.config.inference import InferDrive
from pipelines.config.training import TrainDrive
from pipelines.datasets.fundus import fundus_samples
from pipelines.inference.run import infer_drive
from pipelines.inputs.fundus import subject_of
from pipelines.models.weights import Model, load
from pipelines.results.progress import Silence
from pipelines.sampling.fundi import load_fundus
from pipelines.sampling.transforms import Normalised
from pipelines.scores.histogram import Histogram, curve_of
from pipelines.scores.scores import score_at
from pipelines.training.run import train_vessels
from rurnet.loss import IGNORE_INDEX
from tiling.blend import TOP

DRAWS = 2000
SCORED_SUBJECTS = ("Image_09", "Image_10")
"""Of the training images of CHASE_DB1: what the studies are scored on."""


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
        name: Of the row, and of the run's folder: variants of one name are one run.
        settings: What differs from `flows.train_drive`'s defaults.
    """

    name: str
    settings: Mapping[str, Any] = field_of(default_factory=dict)


def _network(name: str, **arguments: Any) -> Variant:
    """A network, with other arguments than its own."""
    told = " ".join(f"{key}={value}" for key, value in arguments.items())
    return Variant(f"{name} {told}".strip(), {"model": name, "network_arguments": arguments})


def _balanced(name: str, **arguments: Any) -> Variant:
    """The same, its classes balanced by median frequency."""
    plain = _network(name, **arguments)
    return Variant(
        f"{plain.name} median frequency", {**plain.settings, "foreground_weight": "median"}
    )


DRU = _network("dru-4")
PLAIN: dict[str, Any] = {"ema": 0, "damaged_starts": 0, "random_steps": False, "missing": 0}
"""What the papers' networks are compared without."""
OURS = Variant("all", dict.fromkeys(PLAIN))
"""With what `flows.train_drive` has by default."""
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
    """Where a study reads and writes, and how long it trains."""

    data: Path
    output: Path
    iterations: int
    crop: int
    seeds: tuple[int, ...]

    def folder(self, variant: Variant, seed: int) -> Path:
        """Of one run."""
        return self.output / f"{re.sub(r'[^a-z0-9.-]+', '-', variant.name.lower())}-{seed}"

    def trained(self, variant: Variant, seed: int) -> dict[str, Any]:
        """The test report of one run, which is trained unless it is there."""
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
        """What a run ended with."""
        (path,) = self.folder(variant, seed).glob("*.safetensors")
        return path


def without_test_images(chase: Path, output: Path) -> Path:
    """The training images of CHASE_DB1 alone, in DRIVE's layout: some are its test split."""
    root = output / "data"
    for sample in fundus_samples(chase, "train"):
        split = "test" if subject_of(sample.name) in SCORED_SUBJECTS else "training"
        for kind, path in (("images", sample.image), ("1st_manual", sample.label)):
            assert path is not None, f"{sample.name} has no label"
            link = root / split / kind / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(path.resolve())
    return root


def paired(
    first: NDArray[Any], second: NDArray[Any], subjects: Sequence[str]
) -> tuple[float, float, float]:
    """Mean of second - first [seeds, images], and its 95 % interval.

    Args:
        first: A score of each seed and image.
        second: The same of another network.
        subjects: Whose eye each image is: the eyes of one are not two cases.
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
    """MIoU [seeds, images]."""
    return np.array([[s["class_mean"]["iou"] for s in r["scenes"]] for r in reports])


def compared(study: str, place: Place) -> Table:
    """A row for each variant, the first of which the others are compared with."""
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
    """Variants by steps in testing: mIoU."""
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


def _starts(truth: NDArray[Any], other: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any] | None]]:
    """Masks to start from, by name."""
    yield "nothing (uniform)", None
    yield "the label", truth
    yield "the label, foreground and background swapped", ~truth
    yield "another image's label", other
    barred = truth.copy()
    middle = truth.shape[0] // 2
    barred[middle - 6 : middle + 6] = True
    yield "the label with a bar across", barred


def trained_recovery(place: Place, variants: Sequence[Variant]) -> Table:
    """Of networks that are trained for it, unless they are there."""
    networks = {}
    for variant in variants:
        for seed in place.seeds:
            place.trained(variant, seed)
        networks[variant.name] = [load(str(place.weights(variant, seed))) for seed in place.seeds]
    return recovery(place.data, networks)


def recovery(data: Path, networks: Mapping[str, Sequence[Model]]) -> Table:
    """F1 of each step by the mask that a network starts from, seeds and images averaged.

    Args:
        data: A fundus folder, whose test images are taken as they are.
        networks: By name, one for each seed.
    """
    table = Table(
        "network", "started from", "its F1", *(f"step {n}" for n in range(1, 7)), box=None
    )
    read = [load_fundus(sample) for sample in fundus_samples(data, "test")]
    for network, models in networks.items():
        found: dict[str, list[list[float]]] = {}
        for number, sample in enumerate(read):
            there = sample["label"][0] != IGNORE_INDEX
            truth = (sample["label"][0] == 1) & there
            other = read[number - 1]["label"][0]
            stale = np.zeros_like(truth)
            height, width = (min(a, b) for a, b in zip(truth.shape, other.shape, strict=True))
            stale[:height, :width] = other[:height, :width] == 1
            for name, start in _starts(truth, stale):
                begun = np.zeros_like(truth) if start is None else start
                for model in models:
                    masks = [begun, *_masks(model, sample, start, 6)]
                    found.setdefault(name, []).append([_f1(m, truth, there) for m in masks])
        for name, rows in found.items():
            mean = np.mean(rows, axis=0)
            shown = "–" if name.startswith("nothing") else f"{mean[0]:.3f}"
            table.add_row(network, name, shown, *(f"{value:.3f}" for value in mean[1:]))
    return table


def coarseness(place: Place) -> Table:
    """Best F1 of the labels themselves, averaged over cells and bilinearly enlarged again.

    Of canvas a cell is 16 pixels wide, which is more than a vessel.
    """
    table = Table("cells of", "best F1 of the labels", box=None)
    read = [load_fundus(s)["label"][0] for s in fundus_samples(place.data, "test")]
    for side in (2, 4, 8, 16, 32):
        histogram = Histogram()
        for label in read:
            truth = torch.from_numpy((label == 1).astype(np.float32))[None, None]
            cells = functional.avg_pool2d(truth, side, ceil_mode=True)
            enlarged = functional.interpolate(cells, scale_factor=side, mode="bilinear")
            height, width = label.shape
            levels = (TOP * enlarged[0, 0, :height, :width]).round().to(torch.uint8).numpy()
            histogram.add(levels, label == 1, label != IGNORE_INDEX)
        table.add_row(f"{side} px", f"{float(curve_of(histogram.counts).best().f1):.3f}")
    return table


@torch.inference_mode()
def _masks(model: Any, sample: Any, start: NDArray[Any] | None, steps: int) -> Iterator[Any]:
    """Foreground after each step."""
    image = Normalised(model.card.mean, model.card.std)(sample)["image"]
    tensor = torch.from_numpy(image)[None]
    mask = None
    if start is not None:
        mask = torch.from_numpy(np.stack([~start, start]).astype(np.float32))[None]
    state = model.network.initial_state(tensor, mask)
    for _ in range(steps):
        _, state = model.network.step(tensor, state)
        yield (state.mask[0, 1] >= 0.5).numpy()


def _f1(mask: NDArray[Any], truth: NDArray[Any], there: NDArray[Any]) -> float:
    both = (mask & truth & there).sum()
    return float(2 * both / max(1, (mask & there).sum() + (truth & there).sum()))


def _mean(values: Iterator[float]) -> str:
    listed = list(values)
    spread = f" ± {np.std(listed, ddof=1):.3f}" if len(listed) > 1 else ""
    return f"{np.mean(listed):.3f}{spread}"


def main() -> None:
    """Prints a study's tables."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.study", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("study", choices=[*STUDIES, "recovery"])
    parser.add_argument("data", type=Path, help="CHASE_DB1")
    parser.add_argument("--output", type=Path, default=Path("runs/study"))
    parser.add_argument("--iterations", type=int, help="1500 for networks, else 600")
    parser.add_argument("--crop", type=int, help="side in pixels; 256 for networks, else 128")
    parser.add_argument("--seeds", type=int, nargs="+", help="1 2 3 for networks, else 1")
    parser.add_argument(
        "--weights", nargs="+", help="of recovery: of these on the test images, without training"
    )
    given = parser.parse_args()
    console = Console(width=160)
    if given.weights:
        if given.study != "recovery":
            parser.error("--weights are for recovery")
        console.print(recovery(given.data, {name: [load(name)] for name in given.weights}))
        return
    long = given.study == "networks"
    iterations, crop = (
        given.iterations or (1500 if long else 600),
        given.crop or (256 if long else 128),
    )
    # What a run was trained with is in its path: others are not taken for it.
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
            lambda: coarseness(place),
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
