"""Whether a label belongs to its scene and holds the classes that it should."""

from collections.abc import Set as AbstractSet

import numpy as np

from pipelines.errors import LabelError
from pipelines.inputs.labels import Labelling
from tiling.scenes.scene import Raster


def check_fits(label: Raster, scene: Raster) -> None:
    """Checks that a label lies on a scene pixel by pixel; labels are never reprojected.

    Raises:
        LabelError: It has another size, CRS or place.
    """
    made_for_it = "give the label made for it"
    if (label.height, label.width) != (scene.height, scene.width):
        raise LabelError(
            f"{label.name}: {label.width} x {label.height} pixels, but "
            f"{scene.name} has {scene.width} x {scene.height}; {made_for_it}"
        )
    if label.crs is None or scene.crs is None:
        return
    if label.crs != scene.crs:
        raise LabelError(
            f"{label.name}: its CRS is {label.crs}, but that of {scene.name} is {scene.crs}; "
            "bring it there with gdalwarp, nothing is reprojected here"
        )
    corners = np.array([[0, label.width, 0, label.width], [0, 0, label.height, label.height]])
    corners = np.concatenate([corners, np.ones((1, 4))])
    of_label, of_scene = (np.array(one.transform).reshape(3, 3) for one in (label, scene))
    off = float(np.abs(np.linalg.solve(of_scene, of_label @ corners) - corners).max())
    if off > 0.5:
        raise LabelError(
            f"{label.name}: its corners lie up to {off:.1f} pixels away from those of "
            f"{scene.name}; {made_for_it}, or mend its transform"
        )


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
