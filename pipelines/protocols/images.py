"""The images of a protocol in a user's copy of the data: all there, none too many, as hashed."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.massachusetts import RoadPair, road_pairs
from pipelines.errors import DataError, first_few
from pipelines.inputs.fundus import FundusSample
from pipelines.protocols.published import PublishedProtocol

_AT_ONCE = 1 << 20
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class ProtocolImages:
    """The images of a protocol.

    Attributes:
        train: Names of the images to train on; of roads without those that choose the weights.
        test: Names of the test images.
        valid: Names of the images that choose the weights, where the protocol has any.
        samples: Fundus images by name; empty of roads.
        files: Every image, label and mask that the protocol uses.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    valid: tuple[str, ...]
    samples: dict[str, FundusSample]
    files: tuple[Path, ...]

    def of(self, names: Sequence[str]) -> list[FundusSample]:
        """The fundus images of some names."""
        return [self.samples[name] for name in names]


def protocol_images(protocol: PublishedProtocol, folder: Path) -> ProtocolImages:
    """Finds the images of a protocol.

    Raises:
        DataError: The folder is missing or has another layout; or images, labels or masks are
            missing, or there are others: the result would not be the protocol's.
    """
    if protocol.task == "roads":
        return _scenes(protocol, folder)
    return _fundi(protocol, folder)


def digests(
    folder: Path, files: Sequence[Path], done: Callable[[int], None] = lambda files: None
) -> str:
    """SHA-256 of each file, in the lines that `sha256sum --check` reads in the folder.

    Args:
        folder: Names are relative to it.
        files: In any order.
        done: Is told how many files are hashed.
    """
    lines = []
    for number, path in enumerate(sorted(files), start=1):
        found = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_AT_ONCE):
                found.update(block)
        lines.append(f"{found.hexdigest()}  {path.relative_to(folder).as_posix()}\n")
        done(number)
    return "".join(lines)


def _fundi(protocol: PublishedProtocol, folder: Path) -> ProtocolImages:
    every = [one for split in ("train", "test") for one in fundus_samples(folder, split)]
    wanted = {name.lower(): name for name in (*protocol.train, *protocol.test)}
    samples = {wanted.get(one.name.lower(), one.name): one for one in every}
    names = list(wanted.values())
    _refuse(protocol, folder, "images are missing", [one for one in names if one not in samples])
    _refuse(
        protocol, folder, "images do not belong to it", [one for one in samples if one not in names]
    )
    needed = {"first observer's labels": "label"}
    if protocol.fields:
        needed["masks of the field of view"] = "field"
    for what, kind in needed.items():
        lacking = [name for name in names if getattr(samples[name], kind) is None]
        _refuse(protocol, folder, f"images lack their {what}", lacking)
    return ProtocolImages(
        protocol.train, protocol.test, (), samples, _files_of(samples[name] for name in names)
    )


def _files_of(samples: Iterable[FundusSample]) -> tuple[Path, ...]:
    return tuple(
        Path(path)
        for one in samples
        for path in (one.image, one.label, one.second, one.field)
        if path is not None
    )


def _scenes(protocol: PublishedProtocol, folder: Path) -> ProtocolImages:
    found: dict[str, list[RoadPair]] = {}
    wrong = []
    for split, count in protocol.counts.items():
        found[split] = road_pairs(folder, split)
        if len(found[split]) != count:
            wrong.append(
                f"{folder / split} has {len(found[split])} scenes with labels, not {count}"
            )
    if wrong:
        raise DataError(
            f"{folder}: not the data of {protocol.name}: {'; '.join(wrong)}; {_remedy(protocol)}"
        )
    files = [path for pairs in found.values() for one in pairs for path in (one.image, one.label)]
    train, valid, test = (
        tuple(one.name for one in found[split]) for split in ("train", "valid", "test")
    )
    return ProtocolImages(train, test, valid, {}, tuple(files))


def _refuse(protocol: PublishedProtocol, folder: Path, what: str, names: Sequence[str]) -> None:
    if names:
        raise DataError(
            f"{folder}: not the data of {protocol.name}: {len(names)} {what} "
            f"({first_few(names)}); {_remedy(protocol)}"
        )


def _remedy(protocol: PublishedProtocol) -> str:
    images = sum(protocol.counts.values()) or len({*protocol.train, *protocol.test})
    return (
        f"unpack all {images} images with their labels from {protocol.where}, and nothing else, or "
        "name another folder with --data; on other images train-drive, train-roads and "
        "train-folder train"
    )
