"""Files of a raster: the same bytes however they are written, and all of them or none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tiling.sinks import (
    SINKS,
    cog,
    description,
    levels_with_every_value,
    names,
    opened,
    write,
    written,
)
from tiling.errors import SinkError, TilingError
from tiling.sink import BLOCK, ClassCogSink, PngSink, publish
from tiling.window import Window

# The same bytes.


@pytest.mark.parametrize("size", [BLOCK, 2 * BLOCK, 4 * BLOCK])
@pytest.mark.parametrize("kind", SINKS)
def test_the_size_of_windows_does_not_show_in_a_byte(tmp_path, kind, size):
    pixels = np.random.default_rng(0).integers(0, 255, (1, 1500, 1100), np.uint8)
    files = []
    for name, by in (("one", BLOCK), ("other", size)):
        (tmp_path / name).mkdir()
        sink = SINKS[kind](tmp_path / name / f"mask.{kind}", pixels)
        files.append(written(sink, pixels, by).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("size", [97, 300])
def test_windows_need_not_be_blocks(tmp_path, size):
    pixels = levels_with_every_value()
    with opened(written(cog(tmp_path / "mask.tif", pixels), pixels, size)) as raster:
        np.testing.assert_array_equal(raster.read(), pixels)


BYTES = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
from tests.tiling.sinks import ClassCogSink, cog, png, written

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
folder = Path(sys.argv[1])
folder.mkdir()
levels = np.random.default_rng(0).integers(0, 255, (2, 2100, 1600), np.uint8)
floats = (levels / 254).astype(np.float32)
for path in (
    written(cog(folder / "mask.tif", levels[:1], kind=ClassCogSink), levels[:1]),
    written(cog(folder / "probability.tif", levels), levels),
    written(cog(folder / "float.tif", floats, nodata=float("nan")), floats),
    written(png(folder / "mask.png", levels[:1]), levels[:1]),
):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors, and a system that lets one be taken away",
)
def test_neither_processors_nor_gdals_threads_show_in_a_byte(tmp_path):
    outcomes = set()
    for processors, threads in (("1", None), ("2", None), ("2", "1")):
        given = {} if threads is None else {"GDAL_NUM_THREADS": threads}
        result = subprocess.run(
            [sys.executable, "-c", BYTES, tmp_path / f"{processors}-{threads}", processors],
            check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
            env={**os.environ, **given},
        )  # fmt: skip
        assert len(result.stdout.splitlines()) == 4
        outcomes.add(result.stdout)
    assert len(outcomes) == 1


# All or nothing.


def test_nothing_has_its_name_before_all_are_published(tmp_path):
    pixels = levels_with_every_value()
    parts, out = tmp_path / "parts", tmp_path / "out"
    parts.mkdir()
    out.mkdir()
    sinks = [
        ClassCogSink(out / "mask.tif", parts, description(pixels)),
        PngSink(out / "mask.png", parts, description(pixels, None)),
    ]
    for sink in sinks:
        write(sink, pixels)
        assert names(out) == []
        sink.close()
        assert names(out) == []
    assert [sink.publish() for sink in sinks] == [out / "mask.tif", out / "mask.png"]
    assert names(out) == ["mask.png", "mask.tif"]
    assert names(parts) == []


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path):
    pixels = levels_with_every_value()
    path = written(cog(tmp_path / "mask.tif", pixels), pixels)
    before = path.read_bytes()
    sink = cog(path, 254 - np.minimum(pixels, 254))
    write(sink, 254 - np.minimum(pixels, 254))
    sink.close()
    assert path.read_bytes() == before
    sink.publish()
    assert path.read_bytes() != before


def test_a_file_that_reads_back_otherwise_is_not_published(tmp_path):
    pixels = levels_with_every_value()
    good, bad = cog(tmp_path / "good.tif", pixels), cog(tmp_path / "bad.tif", pixels)
    write(good, pixels)
    # Of what is written twice only the last stays, as of what the disk has lost.
    bad.write(Window(0, 0, 512, 512), pixels[:, :512, :512])
    bad.write(Window(0, 0, 100, 100), pixels[:, 600:, :100])
    with pytest.raises(SinkError, match=r"bad\.tif: cannot be written .*reads back otherwise"):
        publish([good, bad])
    assert not (tmp_path / "good.tif").exists()
    assert not (tmp_path / "bad.tif").exists()


@pytest.mark.parametrize("inside", [(), ("deeper",)])
def test_a_folder_that_is_none_is_an_error_that_names_the_file(tmp_path, inside):
    (tmp_path / "taken").write_text("a file")
    path = (tmp_path / "taken").joinpath(*inside, "mask.tif")
    with pytest.raises(SinkError) as caught:
        cog(path, levels_with_every_value())
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, OSError)
    assert str(caught.value).startswith(f"{path}: cannot be written")
    assert "\n" not in str(caught.value)


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from tests.tiling.sinks import SINKS, cog, names, publish, write
from tiling.errors import SinkError

flat = np.zeros((1, 700, 1100), np.uint8)
noise = np.random.default_rng(0).integers(0, 255, flat.shape, np.uint8)
unlimited = (resource.RLIM_INFINITY,) * 2

def make(folder):
    # The first fits wherever the second does not.
    sinks = [cog(folder / "first.tif", flat), make_second(folder / f"second.{sys.argv[2]}", noise)]
    write(sinks[0], flat)
    write(sinks[1], noise)
    return publish(sinks)

make_second = SINKS[sys.argv[2]]
enough = Path(sys.argv[1]) / "enough"
enough.mkdir()
size = make(enough)[1].stat().st_size
outcomes = []
for share in (0, 0.01, 0.3, 0.75, 0.95, 0.999):
    folder = Path(sys.argv[1]) / f"full{share}"
    folder.mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), resource.RLIM_INFINITY))
    try:
        make(folder)
        outcomes.append([share, "no error", []])
    except SinkError as error:
        outcomes.append([share, str(error), names(folder)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print(json.dumps(outcomes))
"""


@pytest.mark.parametrize("kind", SINKS)
def test_on_a_disk_that_is_full_at_any_moment_no_raster_appears(tmp_path, kind):
    pytest.importorskip("resource", reason="a limit of file size stands for a full disk")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, kind],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    outcomes = json.loads(result.stdout.splitlines()[-1])
    assert len(outcomes) == 6
    for share, message, left in outcomes:
        assert message.startswith(f"{tmp_path}/full{share}/"), (share, message)
        assert ": cannot be written (" in message
        assert "\n" not in message
        # Those under other names are the caller's folder of parts to clear.
        assert not {"first.tif", f"second.{kind}"} & set(left)
