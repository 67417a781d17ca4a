"""What tests of evaluations share."""

import numpy as np
import pytest

from tests.pipelines.evaluation.reported import drawing, guess


@pytest.fixture(autouse=True)
def _only_pages_that_are_looked_at(request, monkeypatch):
    """Drawing one takes half a second."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr("pipelines.report.page.render_page", lambda *shown: "")


@pytest.fixture
def page(tmp_path):
    """Reads the page of an evaluation."""

    def read(output="out"):
        return (tmp_path / output / "report.html").read_text(encoding="utf-8")

    return read


@pytest.fixture
def tool(write_raster, tmp_path):
    """Another tool's rasters, and labels, of scenes a, b and c; returns what was drawn."""
    drawn = {}
    for seed, name in enumerate("abc"):
        drawn[name] = drawing(seed)
        write_raster(tmp_path / "labels" / f"{name}.tif", drawn[name].astype(np.uint8)[None])
        write_raster(tmp_path / "tool" / f"{name}.tif", guess(drawn[name], seed))
        write_raster(tmp_path / "other" / f"{name}.tif", guess(drawn[name], seed + 10))
    return drawn
