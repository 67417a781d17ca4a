"""What tests of reports share."""

import pytest

from pipelines.inputs.labels import Labelling
from pipelines.results.outcome import SceneOutcome
from tests.pipelines.report.pictures import build_picture
from tests.pipelines.report.sample_reports import build_report, with_changes
from tiling.blend import NODATA, TOP
from tiling.sink import CogSink, Description, publish
from tiling.window import Window


@pytest.fixture(scope="session")
def sample_report():
    """The function that builds a report."""
    return build_report


@pytest.fixture(scope="session")
def changed():
    """The function that changes values in a report."""
    return with_changes


@pytest.fixture(scope="session")
def sample_picture():
    """The function that builds a picture and its arrays."""
    return build_picture


@pytest.fixture
def write_levels(tmp_path):
    """Writes levels [bands, h, w] as a run does: a COG with overviews and a scale."""

    def write(name, levels):
        path = tmp_path / f"{name}.tif"
        bands = [f"probability of {band}" for band in range(len(levels))]
        what = Description(*levels.shape[1:], "uint8", NODATA, bands, scale=1 / TOP)
        sink = CogSink(path, tmp_path, what)
        sink.write(Window(0, 0, *levels.shape[1:]), levels)
        publish([sink])
        return path

    return write


@pytest.fixture
def outcome_of(write_levels, write_raster, tmp_path):
    """Makes an outcome from arrays: image [bands, h, w], levels of steps, label [h, w]."""

    def make(image, *steps, label=None, name="scene", labelling=None, **raster):
        steps = [step if step.ndim == 3 else step[None] for step in steps]
        files = {
            f"probability-step{number}": write_levels(f"{name}-step{number}", levels)
            for number, levels in enumerate(steps, start=1)
        }
        files |= {"probability": files[f"probability-step{len(steps)}"]}
        if len(steps) == 1:
            del files["probability-step1"]
        source = write_raster(tmp_path / "scenes" / f"{name}.tif", image, **raster)
        drawn = None
        if label is not None:
            drawn = str(write_raster(tmp_path / "labels" / f"{name}.tif", label[None]))
        return SceneOutcome(
            name, str(source), *image.shape[1:], files=files, image=str(source), label=drawn,
            labelling=labelling or Labelling(),
        )  # fmt: skip

    return make
