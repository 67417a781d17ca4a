"""Settings of a run that was there before: refused where they differ, or started afresh."""

import json

import pytest

from tests.tiling.interrupted_runs import (
    GRID,
    PART_SIZE,
    PARTS_OF_IT,
    SETTINGS,
    check_result,
    contents,
    interrupted,
    run,
)
from tiling.errors import ManifestError, TilingError
from tiling.manifest import MANIFEST, PARTS, working
from tiling.readers.raster import RasterScene


@pytest.mark.parametrize("finished", [True, False])
def test_changed_settings_are_refused_by_name_with_both_values(path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    before = contents(out)
    changed = SETTINGS | {"tile": 128, "weights": ["roads def"]}
    with pytest.raises(ManifestError) as caught:
        run(path, out, settings=changed)
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(f"{out}: ")
    assert "tile 64 (now 128)" in message
    assert "weights ['roads abc'] (now ['roads def'])" in message
    assert "--overwrite" in message
    assert "overlap" not in message
    assert contents(out) == before
    assert run(path, out) == ([] if finished else PARTS_OF_IT[5:])


def test_a_setting_more_is_refused_unless_it_is_left_unset(path, out):
    run(path, out)
    with pytest.raises(ManifestError, match=r"gsd None \(now 0\.5\)"):
        run(path, out, settings=SETTINGS | {"gsd": 0.5})
    assert run(path, out, settings=SETTINGS | {"gsd": None}) == []


def test_settings_bind_only_where_something_was_computed(path, out):
    with RasterScene(path) as scene, working(out, scene, GRID, SETTINGS, PART_SIZE, 1):
        plan = (out / PARTS / MANIFEST).read_bytes()
    (out / PARTS).mkdir(parents=True)
    (out / PARTS / MANIFEST).write_bytes(plan)  # As if it had been killed.
    assert run(path, out, settings=SETTINGS | {"threshold": 0.7}) == PARTS_OF_IT


@pytest.mark.parametrize("finished", [True, False])
def test_overwrite_starts_afresh(path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    (out / "notes.txt").write_text("mine")
    changed = SETTINGS | {"threshold": 0.7}
    assert run(path, out, settings=changed, overwrite=True) == PARTS_OF_IT
    assert json.loads((out / MANIFEST).read_text())["settings"] == changed
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    check_result(path, out)


def test_overwrite_takes_a_new_part_size(path, out):
    interrupted(path, out)
    assert len(run(path, out, part_size=1000, overwrite=True)) == 1


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"other": 1}', b"\xff\xfe\x00"])
def test_a_damaged_manifest_is_refused_by_name_but_for_overwrite(path, out, finished, content):
    run(path, out) if finished else interrupted(path, out)
    manifest = out / MANIFEST if finished else out / PARTS / MANIFEST
    manifest.write_bytes(content)
    before = contents(out)
    with pytest.raises(ManifestError) as caught:
        run(path, out)
    assert str(caught.value).startswith(f"{manifest}: ")
    assert "--overwrite" in str(caught.value)
    assert contents(out) == before
    assert run(path, out, overwrite=True) == PARTS_OF_IT
    check_result(path, out)
