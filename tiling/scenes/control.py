"""Georeferencing other than a transform: control points, or the model of a camera."""

import json
import shlex
from dataclasses import dataclass

from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.rpc import RPC


@dataclass(frozen=True)
class GroundControl:
    """What tells where the pixels of a raster lie that has no transform.

    Attributes:
        points: Pixels with their coordinates; empty where there is a camera.
        crs: Of these coordinates.
        camera: Rational polynomials (RPCs) from longitude, latitude and height to pixels.
        arrays: Whether files of the coordinates of each pixel (geolocation arrays) tell, as in
            swaths of satellites.
    """

    points: tuple[GroundControlPoint, ...] = ()
    crs: CRS | None = None
    camera: RPC | None = None
    arrays: bool = False

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.points:
            return "ground control points"
        return "geolocation arrays" if self.arrays else "RPCs"

    def remedy(self, name: str) -> str:
        """The command that makes a raster with a transform of the file `name`."""
        crs = self.crs.to_string() if self.crs is not None else "EPSG:4326"
        if self.points:
            return f"rio warp {shlex.quote(name)} warped.tif --dst-crs {shlex.quote(crs)}"
        program = (
            "from rasterio import open, shutil, vrt; "
            f"shutil.copy(vrt.WarpedVRT(open({json.dumps(name)}), src_crs={json.dumps(crs)}), "
            '"warped.tif")'
        )
        return f"python -c {shlex.quote(program)}"


def control_of(dataset: DatasetReader) -> GroundControl | None:
    """What there is of it in an open file; None where a transform tells where the pixels lie."""
    if not dataset.transform.is_identity:
        return None
    if arrays := dataset.tags(ns="GEOLOCATION"):
        return GroundControl(crs=_crs(arrays.get("SRS")), arrays=True)
    if dataset.crs is not None:
        return None
    points, crs = dataset.gcps
    if points:
        return GroundControl(tuple(points), crs)
    camera = dataset.rpcs
    return None if camera is None else GroundControl(camera=camera)


def _crs(text: str | None) -> CRS | None:
    try:
        return None if text is None else CRS.from_user_input(text)
    except (RasterioError, CPLE_BaseError):
        return None
