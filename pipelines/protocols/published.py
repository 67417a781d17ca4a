"""The published protocols, and the published scores that may be compared under each.

A protocol says which images train and which test, which pixels count and at which threshold; it
does not say how to train. Sources of a split are named with it. Scores are those that their authors
printed, or that follow from these (docs/published.md shows the arithmetic).
"""

from dataclasses import dataclass, field
from typing import Literal

ProtocolName = Literal[
    "drive", "chase-8-20", "chase-20-8", "hrf", "stare", "massachusetts-1108"
]  # fmt: skip


@dataclass(frozen=True)
class PublishedScore:
    """A score that others reported.

    Attributes:
        network: What it was reported of.
        score: Which score, and its value.
        source: Who reported it.
        differs: What, besides the training, is not as in our command, as far as their paper or
            code tells.
    """

    network: str
    score: str
    source: str
    differs: str


@dataclass(frozen=True)
class PublishedProtocol:
    """Which images train, which test, and what counts.

    Attributes:
        name: As it is typed.
        title: In words.
        task: What is to be found.
        folder: Default name of the data's folder.
        train: Stems of the training images, where images have fixed names.
        test: Stems of the test images.
        counts: How many images each split has, where they are told apart by folders.
        leave_one_out: Whether each image is tested by a training on all others.
        fields: Whether the data set has masks of the field of view, which the scores need.
        counted: Which pixels are scored.
        source: Where the split comes from.
        where: Where to get the data.
        published: Scores on the same test images.
    """

    name: ProtocolName
    title: str
    task: Literal["roads", "vessels"]
    folder: str
    counted: str
    source: str
    where: str
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    leave_one_out: bool = False
    fields: bool = False
    published: tuple[PublishedScore, ...] = ()


_WANG = "Wang et al., ICCV 2019"
_GALDRAN = "Galdran et al., arXiv:2009.01907"
_SUPPLIED = "pixels inside the field of view, by the data set's masks, at the images' own size"
_DERIVED = "pixels inside the field of view, found in each image, at the images' own size"
_NOT_SAID = "whether pixels outside the field of view count is not said"
_CUT = "the threshold is chosen on training images"

_CHASE = tuple(f"Image_{subject:02d}{eye}" for subject in range(1, 15) for eye in "LR")
_CHASE_FROM = "https://researchdata.kingston.ac.uk/96/"

_STARE = tuple(
    f"im{number:04d}"
    for number in (
        1, 2, 3, 4, 5, 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324,
    )
)  # fmt: skip

_EVERY = (
    PublishedProtocol(
        "drive",
        "DRIVE, official split: 20 images train, 20 test",
        "vessels",
        "DRIVE",
        train=tuple(f"{number}_training" for number in range(21, 41)),
        test=tuple(f"{number:02d}_test" for number in range(1, 21)),
        fields=True,
        counted=_SUPPLIED,
        source="Staal et al., IEEE Transactions on Medical Imaging 23(4), 2004",
        where="https://drive.grand-challenge.org/",
        published=(
            PublishedScore("DRU(4), 0.36 M parameters", "class-mean IoU 0.821, class-mean F1 0.896 "
                           "(F1 of vessels 0.820)", f"{_WANG}, Table 4", _NOT_SAID),
            PublishedScore("U-Net-G", "class-mean IoU 0.800, class-mean F1 0.882 (F1 of vessels "
                           "0.792)", f"{_WANG}, Table 4", _NOT_SAID),
            PublishedScore("DRIU", "F1 0.822", f"Maninis et al., MICCAI 2016, as quoted by {_WANG}",
                           "their protocol was not looked at"),
            PublishedScore("W-Net, 68 k parameters", "F1 0.828", _GALDRAN, _CUT),
        ),
    ),
    PublishedProtocol(
        "chase-8-20",
        "CHASE_DB1: the first 8 images train, 20 test",
        "vessels",
        "CHASE_DB1",
        train=_CHASE[:8],
        test=_CHASE[8:],
        counted=_DERIVED,
        source=f"{_GALDRAN}, and their get_public_data.py",
        where=_CHASE_FROM,
        published=(
            PublishedScore("W-Net, 68 k parameters", "F1 0.820", _GALDRAN,
                           f"{_CUT}; masks of the field of view of their own"),
        ),
    ),
    PublishedProtocol(
        "chase-20-8",
        "CHASE_DB1: the first 20 images train, 8 test",
        "vessels",
        "CHASE_DB1",
        train=_CHASE[:20],
        test=_CHASE[20:],
        counted=_DERIVED,
        source="the split of train-drive; no published score under it was checked",
        where=_CHASE_FROM,
    ),
    PublishedProtocol(
        "hrf",
        "HRF: the first 5 images of each kind train, 30 test at full size",
        "vessels",
        "HRF",
        train=tuple(f"{n:02d}_{kind}" for n in range(1, 6) for kind in ("dr", "g", "h")),
        test=tuple(f"{n:02d}_{kind}" for n in range(6, 16) for kind in ("dr", "g", "h")),
        fields=True,
        counted=_SUPPLIED,
        source=f"{_GALDRAN}, and their get_public_data.py",
        where="https://www5.cs.fau.de/research/data/fundus-images/",
    ),
    PublishedProtocol(
        "stare",
        "STARE: each of 20 images is tested by a training on the other 19",
        "vessels",
        "STARE",
        train=_STARE,
        test=_STARE,
        leave_one_out=True,
        counted=_DERIVED,
        source="leave-one-out as in Soares et al., IEEE Transactions on Medical Imaging 25(9), "
        "2006; the first observer's (ah) labels",
        where="https://cecas.clemson.edu/~ahoover/stare/",
    ),
    PublishedProtocol(
        "massachusetts-1108",
        "Massachusetts Roads, official split: 1108 scenes train, 14 choose, 49 test",
        "roads",
        "massachusetts_roads",
        counts={"train": 1108, "valid": 14, "test": 49},
        counted="pixels of whole scenes, without white patches, where nothing was photographed",
        source="Mnih, PhD thesis, University of Toronto, 2013",
        where="https://www.cs.toronto.edu/~vmnih/data/",
        published=(
            PublishedScore("U-Net with a topology loss", "break-even 0.778",
                           f"Mosinska et al., CVPR 2018, as quoted by {_WANG}",
                           "their protocol was not looked at"),
            PublishedScore("DRU(4), 0.36 M parameters", "class-mean break-even 0.757 (break-even "
                           "of roads 0.54, F1 0.28)", f"{_WANG}, Table 5",
                           "only pure white pixels are left out"),
            PublishedScore("U-Net-G", "class-mean break-even 0.642 (break-even of roads 0.32, F1 "
                           "0.01)", f"{_WANG}, Table 5", "only pure white pixels are left out"),
        ),
    ),
)  # fmt: skip

PROTOCOLS: dict[str, PublishedProtocol] = {one.name: one for one in _EVERY}
"""Every protocol by its name."""
