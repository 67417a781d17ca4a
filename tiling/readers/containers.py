"""Files that are no one raster: several in one file, or none."""

import shlex

from rasterio import DatasetReader

from tiling.errors import SceneError
from tiling.scenes.names import without_secrets

_MOST_NAMED = 6


def check_has_bands(name: str, dataset: DatasetReader) -> None:
    """Checks that a data set has a band; one with several rasters inside has none itself.

    Raises:
        SceneError: It has none; the rasters inside are named as they are to be typed.
    """
    if dataset.count:
        return
    tags = dataset.tags(ns="SUBDATASETS")
    inside = [tags[key] for key in sorted(tags, key=_number) if key.endswith("_NAME")]
    if not inside:
        raise SceneError(f"{name}: has no band, so there is nothing to read; give a raster")
    named = " ".join(shlex.quote(without_secrets(one)) for one in inside[:_MOST_NAMED])
    more = f" and {len(inside) - _MOST_NAMED} more" if len(inside) > _MOST_NAMED else ""
    raise SceneError(
        f"{name}: holds {len(inside)} rasters ({named}{more}); give one of these names, or make "
        "one file of several bands, e.g. rio stack -f GTiff NAME NAME NAME -o scene.tif"
    )


def pages_of(dataset: DatasetReader) -> int:
    """How many pictures a file holds; of the pages of a TIFF, the first one is read."""
    return max(1, len(dataset.subdatasets)) if dataset.driver == "GTiff" else 1


def _number(key: str) -> tuple[int, str]:
    """`SUBDATASET_10_NAME` comes after `SUBDATASET_9_NAME`."""
    digits = "".join(letter for letter in key if letter.isdigit())
    return int(digits or 0), key


def only_alpha(name: str) -> SceneError:
    """The error of a file whose bands are all alpha."""
    return SceneError(
        f"{name}: has alpha only, and no colours; give the file that has the colours, or say with "
        "--bands which bands are to be read as such, e.g. --bands 1,1,1"
    )
