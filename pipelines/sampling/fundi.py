"""Fundus images that training crops are cut from: read once, checked, and held in memory."""

import logging

import numpy as np

from pipelines.inputs.discovery import fundus_input
from pipelines.inputs.field_of_view import field_diameter, scale_seen
from pipelines.inputs.fundus import FundusSample
from pipelines.inputs.label_checks import (
    TRAINED_ALL_THE_SAME,
    LabelContents,
    check_fits,
    check_kept,
    check_share,
    check_two_classes,
    check_values,
    remarks_on_share,
)
from pipelines.inputs.labels import IGNORE_INDEX, Labelling
from pipelines.inputs.normalisation import bytes_on_8_bits
from pipelines.inputs.pixel_values import SAVE_AS_BYTES, looked_at
from pipelines.sampling.samples import Sample, as_sample, resized
from pipelines.sampling.sources import CropSource
from pipelines.sampling.transforms import RandScaledCropd
from tiling.window import Window

VESSEL = "vessel"
"""Name of what labels of fundi show."""

_LOG = logging.getLogger("rurnet")


class FundusSource(CropSource):
    """Crops of a fundus image at about its working diameter.

    Args:
        sample: Image and annotations.
        diameters: See `pipelines.inputs.field_of_view.working_diameter`; None keeps images and
            crops as they are.
        zoom: Largest factor by which crops are enlarged, or reduced, against the fundus at its
            working diameter.

    Attributes:
        diameter: Diameter of the field of view, in pixels of `arrays`.
        whole: Whether all of the image is field: its diameter is then that of a part.
        arrays: The whole image as a sample.

    Raises:
        SceneError: See `load_fundus`.
        LabelError: See `load_fundus`.
        DataError: See `load_fundus`.
    """

    def __init__(
        self, sample: FundusSample, diameters: tuple[int, int] | None, zoom: float = 1.25
    ) -> None:
        self.name = sample.name
        arrays = load_fundus(sample)
        field = arrays["valid"][0] > 0
        own = field_diameter(field)
        self.whole = bool(field.all())
        scale = scale_seen(field, field.shape, diameters) if diameters else 1.0
        self.diameter = round(own * scale)
        self.scales = (1 / zoom, zoom) if diameters else (1.0, 1.0)
        height, width = (
            max(1, round(side * self.diameter / own)) for side in arrays["image"].shape[1:]
        )
        self.arrays = resized(arrays, height, width)

    def crop(self, size: int, random: np.random.Generator) -> Sample:
        """See `CropSource.crop`."""
        transform = RandScaledCropd(size, self.scales)
        transform.set_random_state(seed=int(random.integers(2**31)))
        return transform(self.arrays)

    def shape(self) -> tuple[int, int]:
        """See `CropSource.shape`."""
        height, width = self.arrays["image"].shape[1:]
        return height, width

    def read(self, window: Window) -> Sample:
        """See `CropSource.read`."""
        rows, columns = window.slices()
        return {key: self.arrays[key][:, rows, columns] for key in self.arrays}


def load_fundus(sample: FundusSample) -> Sample:
    """Reads a whole fundus image with its label, all uint8, and checks its annotations.

    The image is read as prediction reads it. Outside the field of view (the data set's own mask,
    or one derived from the image) `valid` is 0 and the label is `IGNORE_INDEX`; it is so
    everywhere where there is no label.

    Raises:
        SceneError: The image cannot be read, or has other bands than three.
        LabelError: A label, or the second observer's, has another size or a third value, or see
            `check_share`.
        DataError: The mask of the field of view cannot be read, or has another size; or most
            values lie outside the range of their type.
    """
    with fundus_input(sample).open() as opened:
        for remark in (*opened.remarks, *looked_at(opened, SAVE_AS_BYTES).remarks):
            _LOG.warning("%s", remark)
        scene = opened.scene
        whole = Window(0, 0, scene.height, scene.width)
        vessels = np.full((scene.height, scene.width), IGNORE_INDEX, np.uint8)
        if opened.label is not None:
            check_fits(opened.label, scene, alignable=False)
            drawn = opened.label.drawn(whole)
            values = opened.label.values_in(*drawn)
            opened.label.check_palette(values)
            check_values(opened.label.name, values, Labelling())
            check_kept(opened.label, values)
            vessels = opened.label.classes(*drawn)
            contents = LabelContents()
            contents.add(vessels)
            check_share(opened.label.name, contents, VESSEL, TRAINED_ALL_THE_SAME)
            for remark in remarks_on_share(opened.label.name, contents):
                _LOG.warning("%s", remark)
        if opened.second is not None:
            check_fits(opened.second, scene, alignable=False)
            check_two_classes(opened.second, VESSEL)
        pixels, field = scene.read(whole)
        return as_sample(bytes_on_8_bits(pixels), field, vessels)
