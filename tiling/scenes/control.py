"""Georeferencing other than a transform: control points, or the model of a camera."""

import shlex
from dataclasses import dataclass

from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.rpc import RPC


@dataclass(frozen=True)
class GroundControl:
    """What tells where the pixels of a raster lie that has no transform.

    Attributes:
        points: Pixels with their coordinates; empty where there is a camera.
        crs: Of these coordinates.
        camera: Rational polynomials (RPCs) from longitude, latitude and height to pixels.
    """

    points: tuple[GroundControlPoint, ...] = ()
    crs: CRS | None = None
    camera: RPC | None = None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "ground control points" if self.points else "RPCs"

    def remedy(self, name: str) -> str:
        """The command that makes a raster with a transform of the file `name`."""
        if self.points:
            crs = self.crs.to_string() if self.crs is not None else "EPSG:4326"
            return f"rio warp {shlex.quote(name)} warped.tif --dst-crs {shlex.quote(crs)}"
        program = (
            "from rasterio import open, shutil, vrt; "
            f'shutil.copy(vrt.WarpedVRT(open({name!r}), src_crs="EPSG:4326"), "warped.tif")'
        )
        return f"python -c {shlex.quote(program)}"


def control_of(dataset: DatasetReader) -> GroundControl | None:
    """What there is of it in an open file; None where a transform tells where the pixels lie."""
    if dataset.crs is not None or not dataset.transform.is_identity:
        return None
    points, crs = dataset.gcps
    if points:
        return GroundControl(tuple(points), crs)
    camera = dataset.rpcs
    return None if camera is None else GroundControl(camera=camera)
