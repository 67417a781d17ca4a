"""Whether a label belongs to its scene and holds the classes that it should."""

import json
import logging
import shlex
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from pipelines.errors import LabelError
from pipelines.inputs.class_nodata import swallowed, without_nodata
from pipelines.inputs.labels import (
    AT_ONCE,
    IGNORE_INDEX,
    MOST_VALUES,
    Label,
    Labelling,
    RasterLabel,
    calculated,
    on_values,
)
from tiling.scenes.scene import Raster
from tiling.scenes.vector import is_vector
from tiling.window import split

_LOG = logging.getLogger("rurnet")

_TOLD = 0.01
"""Share of a label that is left out, from which on a log line says so."""

_WARNED = 0.5
"""Share from which on this line is a warning."""

_THIN = ("road", "vessel")
"""Classes that cover little of a whole image."""

_INVERTED = 0.75
"""Share of these from which on a label is drawn the other way round.

Of 186 public labels of roads and vessels none has more than 20 %: the other way round, 80 %.
"""

_LIKELY, _FAR_BETTER = 0.5, 0.25
"""F1 from which on, and by how much more than as they are, label or mask seem turned round."""

SCORED_ALL_THE_SAME = "evaluate --classes foreground scores it all the same"
"""What to do where a label that is refused for its share of foreground is right."""

TRAINED_ALL_THE_SAME = "train_folder takes it all the same"
"""The same in training."""


@dataclass(frozen=True)
class Agreement:
    """F1 of a prediction with a label, and with one of the two turned round.

    Attributes:
        f1: As they are.
        label_turned: With foreground and background of the label exchanged.
        mask_turned: With those of the prediction exchanged; 0 where it is not mostly foreground,
            or the label is too: of what covers most of an image, F1 is high by chance.
    """

    f1: float
    label_turned: float
    mask_turned: float

    @classmethod
    def of(cls, hits: int, alarms: int, missed: int, rest: int) -> "Agreement":
        """From the pixels of each kind: found rightly, found wrongly, not found, background."""

        def f1(hits: int, alarms: int, missed: int) -> float:
            return 2 * hits / max(1, 2 * hits + alarms + missed)

        only_mask = hits + alarms > missed + rest and hits + missed < alarms + rest
        mask_turned = f1(missed, rest, hits) if only_mask else 0.0
        return cls(f1(hits, alarms, missed), f1(alarms, hits, rest), mask_turned)

    def is_far_better(self, turned: float) -> bool:
        """Whether F1 is so much higher with one turned round that this is hardly chance."""
        return turned >= max(_LIKELY, self.f1 + _FAR_BETTER)


def check_fits(label: Raster, scene: Raster, *, alignable: bool = True) -> None:
    """Checks that a label lies on a scene pixel by pixel; labels are not reprojected unasked.

    Args:
        label: The label.
        scene: The scene.
        alignable: Whether --align-labels may be advised; labels of fundi are never aligned.

    Raises:
        LabelError: It has another size, CRS or place.
    """
    made_for_it = "give the label made for it"
    aligned = "--align-labels brings it there"
    if (label.height, label.width) != (scene.height, scene.width):
        raise LabelError(
            f"{label.name}: {label.width} x {label.height} pixels, but "
            f"{scene.name} has {scene.width} x {scene.height}; {made_for_it}"
            + (f", or, if its coordinates are right, {aligned}" if alignable else "")
        )
    if label.crs is None or scene.crs is None:
        return
    if _horizontal(label.crs) != _horizontal(scene.crs):
        raise LabelError(
            f"{label.name}: its CRS is {label.crs}, but that of {scene.name} is {scene.crs}; "
            + (f"{aligned}, as does " if alignable else "what brings it there: ")
            + f"rio warp --like {shlex.quote(scene.name)} {shlex.quote(label.name)} NEW.tif"
        )
    corners = np.array([[0, label.width, 0, label.width], [0, 0, label.height, label.height]])
    corners = np.concatenate([corners, np.ones((1, 4))])
    of_label, of_scene = (np.array(one.transform).reshape(3, 3) for one in (label, scene))
    off = float(np.abs(np.linalg.solve(of_scene, of_label @ corners) - corners).max())
    if off > 0.5:
        raise LabelError(
            f"{label.name}: its corners lie up to {off:.1f} pixels away from those of "
            f"{scene.name}; {made_for_it}, or mend its transform"
            + (f"; if that is right, {aligned}" if alignable else "")
        )


def _horizontal(crs: CRS) -> CRS:
    """The part of a CRS that says where a pixel lies; a compound one says how high, too."""
    text = crs.to_wkt(version="WKT2_2019")
    if not text.startswith("COMPOUNDCRS"):
        return crs
    parts: list[dict[str, Any]] = crs.to_dict(projjson=True)["components"]
    return CRS.from_user_input(json.dumps(parts[0]))


def check_values(label: str, values: AbstractSet[float], labelling: Labelling) -> None:
    """Checks that a label holds nothing but classes: of two, 0 and one other value.

    Args:
        label: The label's name, for messages.
        values: Values in it that are not left out.
        labelling: What they should mean.

    Raises:
        LabelError: It holds too many values, or one that is no class.
    """
    if labelling.classes == 2:
        if len(values - {0}) > 1:
            held = ", ".join(f"{value:g}" for value in sorted(values)[:4])
            raise LabelError(
                f"{label}: holds the values {held}{', ...' if len(values) > 4 else ''}, but of two "
                "classes a label holds 0 and one other value; mend it (what is to be left out is "
                "its nodata value)"
            )
    elif unknown := values - set(range(labelling.classes)) - set(labelling.ignore):
        raise LabelError(
            f"{label}: value {min(unknown):g} is no class of 0 to {labelling.classes - 1}; mend it "
            "(what is to be left out is its nodata value, or 255)"
        )


@dataclass
class LabelContents:
    """How many pixels of a label are what; `add` counts them, window by window.

    Attributes:
        background: Those of the background.
        foreground: Those of any other class.
        left_out: Those that are left out.
    """

    background: int = 0
    foreground: int = 0
    left_out: int = 0

    def add(self, classes: NDArray[np.uint8]) -> None:
        """Counts a window [h, w], as `Label.read` gives it."""
        left_out = int(np.count_nonzero(classes == IGNORE_INDEX))
        background = classes.size - int(np.count_nonzero(classes))
        self.left_out += left_out
        self.background += background
        self.foreground += classes.size - background - left_out

    @property
    def share_of_foreground(self) -> float:
        """Of the pixels that are not left out, 0 to 1."""
        return self.foreground / max(1, self.background + self.foreground)

    @property
    def share_left_out(self) -> float:
        """0 to 1."""
        return self.left_out / max(1, self.background + self.foreground + self.left_out)


def check_whole(label: Label, classes: Sequence[str]) -> None:
    """Reads a label to its end, to find out before hours of work what would end them.

    Args:
        label: The label.
        classes: Names of the classes that it may hold, background first.

    Raises:
        LabelError: It holds a value that is no class, or see `check_contents`.
    """
    contents = LabelContents()
    for window in split(label.height, label.width, AT_ONCE):
        contents.add(label.read(window))
    check_contents(label, contents, classes)


def check_two_classes(label: RasterLabel, found: str) -> None:
    """Reads a label of a training once, and checks that it holds two classes.

    Args:
        label: The label, under a labelling of two classes.
        found: Name of its foreground.

    Raises:
        LabelError: It does not, or see `RasterLabel.check_palette`, `check_kept`, `check_share`.
    """
    values: set[float] = set()
    contents = LabelContents()
    for window in split(label.height, label.width, AT_ONCE):
        drawn = label.drawn(window)
        values |= label.values_in(*drawn)
        if len(values) > MOST_VALUES:
            break
        contents.add(label.classes(*drawn))
    label.check_palette(values)
    check_values(label.name, values, Labelling())
    check_kept(label, values)
    check_share(label.name, contents, found, TRAINED_ALL_THE_SAME)


def check_contents(label: Label, contents: LabelContents, classes: Sequence[str]) -> None:
    """Checks that something can be scored against a label.

    Args:
        label: The label.
        contents: What it holds.
        classes: Names of the classes that it may hold, background first.

    Raises:
        LabelError: All of it is left out, or of two classes the background is missing, or nodata
            may have taken all of the foreground, or see `check_share`.
    """
    percent = f"{100 * contents.share_left_out:.3g} %"
    values = label.foreground_values if len(classes) == 2 else set[float]()
    if not contents.background and not contents.foreground:
        raise LabelError(
            f"{label.name}: all of it is left out (by nodata, alpha, mask, or --ignore); keep the "
            "band that holds the drawing, 0 being the background: rio calc --not-masked "
            f'"(read 1 1)" {shlex.quote(label.name)} NEW.tif, or (read 1 2) for the second band'
        )
    if not contents.foreground and contents.left_out and label.doubtful_nodata is not None:
        raise swallowed(
            label.name, label.doubtful_nodata, LabelError, f"--ignore {label.doubtful_nodata:g}"
        )
    if not contents.background and len(classes) == 2:
        what = (
            f"{percent} of it is left out, and all the rest" if contents.left_out else "all of it"
        )
        raise _without_background(label, what, values)
    if values == {1, IGNORE_INDEX}:
        raise LabelError(
            f"{label.name}: holds 0, 1 and {IGNORE_INDEX}, so whether {IGNORE_INDEX} is foreground "
            f"is not clear; --ignore {IGNORE_INDEX} leaves it out; if it is foreground: "
            + calculated("(!= (read 1 1) 0)", label.name)
        )
    if len(classes) == 2:
        check_share(label.name, contents, classes[1], SCORED_ALL_THE_SAME)


def remarks_on_contents(
    label: Label,
    contents: LabelContents,
    classes: Sequence[str],
    agreement: Agreement | None = None,
) -> tuple[str, ...]:
    """Returns what a person should know of a label that can be scored against, and logs it.

    Args:
        label: The label.
        contents: What it holds.
        classes: Names of the classes that it may hold, background first.
        agreement: Of a prediction with it, where there is one.
    """
    remarks = []
    if not contents.foreground:
        remarks.append(f"{label.name}: no foreground in it, so no score tells what was found")
    if len(classes) == 2:
        if len(label.foreground_values) > 1:
            remarks.append(on_values(label))
        remarks += remarks_on_share(label.name, contents, agreement)
    share = contents.share_left_out
    left_out = f"{label.name}: {100 * share:.3g} % of it is left out (nodata, alpha, --ignore)"
    if share >= _WARNED:
        remarks.append(left_out)
    elif share >= _TOLD:
        _LOG.info("%s", left_out)
    for remark in remarks:
        _LOG.warning("%s", remark)
    return tuple(remarks)


def remarks_on_share(
    name: str, contents: LabelContents, agreement: Agreement | None = None
) -> tuple[str, ...]:
    """Returns what a person should know of a label of two classes: at most one line.

    Args:
        name: The label's name.
        contents: What it holds.
        agreement: Of a prediction with it, where there is one.
    """
    # A label without background is that of a tile of something large.
    if not contents.foreground > contents.background > 0:
        return ()
    said = f"{name}: {100 * contents.share_of_foreground:.3g} % of it is foreground, so it may be "
    said += "drawn the other way round: 0 is the background. "
    if agreement is not None and agreement.is_far_better(agreement.label_turned):
        said += f"F1 is {agreement.f1:.2f}, and {agreement.label_turned:.2f} once it is turned. "
    return (f"{said}If so: {_turned(name)}",)


def remarks_on_turned(name: str, agreement: Agreement) -> tuple[str, ...]:
    """Returns that a predicted mask seems to be the other way round: at most one line.

    Args:
        name: The mask's name.
        agreement: Of it with a label.
    """
    if not agreement.is_far_better(agreement.mask_turned):
        return ()
    remark = (
        f"{name}: F1 is {agreement.f1:.2f}, and {agreement.mask_turned:.2f} once the mask is "
        f"turned, so it may be the other way round: 0 is the background. If so: {_turned(name)}"
    )
    _LOG.warning("%s", remark)
    return (remark,)


def check_share(name: str, contents: LabelContents, found: str, otherwise: str) -> None:
    """Checks that a label of roads or vessels is not drawn the other way round.

    Args:
        name: The label's name.
        contents: What it holds.
        found: Name of its foreground.
        otherwise: What to do where the label is right.

    Raises:
        LabelError: Three quarters of it are foreground, of what covers little of any image.
    """
    inverted = contents.background and contents.share_of_foreground >= _INVERTED
    if found in _THIN and inverted:
        raise LabelError(
            f"{name}: {100 * contents.share_of_foreground:.3g} % of it is {found}, so it is drawn "
            f"the other way round: 0 is the background. {_turned(name)}. If it is right, "
            f"{otherwise}"
        )


def _turned(name: str) -> str:
    """How to exchange foreground and background of a label."""
    if is_vector(name):
        return "Draw what is to be found as lines or polygons"
    return calculated("(== (read 1 1) 0)", name)


def check_kept(label: RasterLabel, values: AbstractSet[float]) -> None:
    """Checks that nodata, alpha or a mask do not leave out all of one of two classes.

    A label that is all background, or all foreground, may still teach something.

    Args:
        label: The label.
        values: Values in it that are not left out.

    Raises:
        LabelError: They may leave out all of the foreground, or leave out all of the background.
    """
    if not values - {0} and label.doubtful_nodata is not None and label.leaves_out():
        raise swallowed(label.name, label.doubtful_nodata, LabelError, "take image and label away")
    if values and 0 not in values and label.leaves_out():
        raise _without_background(label, "all of it that is not left out", values)


def _without_background(label: Label, what: str, values: AbstractSet[float]) -> LabelError:
    """The error of a label in which nothing is background; `values` are those of the rest."""
    first = "" if label.nodata is None else f"{without_nodata(label.name)}, then "
    kept = calculated(f"(== (read 1 1) {max(values, default=1):g})", label.name)
    return LabelError(
        f"{label.name}: {what} is foreground: no background is left; make it 0: {first}{kept}, "
        "or, where a second band (alpha) is the drawing, (read 1 2)"
    )
