"""Hashes of parts tell whether their pixels are still the same."""

import numpy as np
import pytest

from tests.tiling.stitching import GRID, Constant, noise, stitched
from tiling.readers.raster import RasterScene
from tiling.stitch import part_digest
from tiling.window import Window


def digests(scene, part_size=112):
    return {part.name: part_digest(scene, GRID, part) for part in GRID.parts(part_size)}


@pytest.mark.parametrize("lanes", [1, 2])
def test_parts_are_written_with_the_hash_of_their_pixels(scene, tmp_path, lanes):
    store = stitched(scene, Constant(5, lanes=lanes, readers=2), tmp_path, part_size=112)
    assert {part.name: store.digests(part).part for part in store.parts} == digests(scene)


@pytest.mark.parametrize("kind", ["pixels", "valid"])
@pytest.mark.parametrize("pixel", [(0, 0), (299, 299), (100, 130), (150, 60)])
def test_the_hash_tells_which_parts_a_pixel_is_in(write_raster, tmp_path, kind, pixel):
    pixels, valid = noise(300, 300), np.ones((300, 300), bool)
    before = write_raster(tmp_path / "a.tif", pixels, nodata_kind="mask", valid=valid)
    if kind == "pixels":
        pixels[(2, *pixel)] ^= 1
    else:
        valid[pixel] = False
    after = write_raster(tmp_path / "b.tif", pixels, nodata_kind="mask", valid=valid)
    with RasterScene(before) as one, RasterScene(after) as other:
        old, new = digests(one), digests(other)
    touched = {part.name for part in GRID.parts(112) if part.extent.meets(Window(*pixel, 1, 1))}
    assert touched
    assert {name for name in old if old[name] != new[name]} == touched
