"""Which asset of a STAC item is the scene."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.errors import DataError
from tiling.readers.files import EXTENSIONS
from tiling.scenes.names import extension_of

if TYPE_CHECKING:
    import pystac

_NO_SCENE = {"thumbnail", "overview", "metadata", "cloud", "data-mask", "water-mask"}
"""Roles of what shows or describes a scene."""


def chosen_asset(item: "pystac.Item", wanted: str | None) -> "pystac.Asset":
    """The asset that is taken as the scene.

    It is the one that is wanted; or else the raster that is called `visual`, or the only one of
    this role, as the networks take colours; or else the same with `data`; or else the only raster.

    Raises:
        DataError: There is no such asset, or several might be it.
    """
    if wanted is not None:
        if wanted not in item.assets:
            raise DataError(
                f"{item.id}: this STAC item has no asset {wanted}; it has "
                f"{', '.join(item.assets) or 'none'}: give one of them after #asset="
            )
        return item.assets[wanted]
    rasters = {name: each for name, each in item.assets.items() if _may_be_scene(each)}
    for what in ("visual", "data"):
        if what in rasters:
            return rasters[what]
        of_role = [each for each in rasters.values() if what in _roles(each)]
        if len(of_role) == 1:
            return of_role[0]
    if len(rasters) == 1:
        return next(iter(rasters.values()))
    raise DataError(f"{item.id}: {_why(item.assets, rasters)}")


def _why(assets: "Mapping[str, pystac.Asset]", rasters: "Mapping[str, pystac.Asset]") -> str:
    if not rasters:
        return (
            f"no asset of this STAC item is a raster ({', '.join(assets) or 'it has none'}); give "
            "the one that is after #asset=, or leave the item out"
        )
    return (
        f"several assets of this STAC item may be the scene: {', '.join(rasters)}; give one after "
        "#asset=, or, if they are its bands, put them together first, "
        "e.g. rio stack -f GTiff red.tif green.tif blue.tif -o scene.tif"
    )


def _may_be_scene(asset: "pystac.Asset") -> bool:
    kind = asset.media_type or ""
    raster = kind.startswith("image/") or extension_of(asset.href.partition("?")[0]) in EXTENSIONS
    return raster and not _NO_SCENE & set(_roles(asset))


def _roles(asset: "pystac.Asset") -> list[str]:
    return asset.roles or []
