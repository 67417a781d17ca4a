"""What tests of unusual inputs share."""

import json

import pytest

from pipelines.config.evaluation import Evaluate
from pipelines.evaluation.run import evaluate
from pipelines.results.progress import Silence


@pytest.fixture
def no_page(monkeypatch):
    """Leaves out the report's page: drawing one takes half a second."""
    monkeypatch.setattr("pipelines.report.page.render_page", lambda *shown: "")


@pytest.fixture
def evaluated(no_page, tmp_path):
    """Evaluates the rasters in `found` against those in `labels`, and returns the report."""

    def run(labels=tmp_path / "labels", **options):
        config = Evaluate(
            predictions=[str(tmp_path / "found")], labels=labels, output=tmp_path / "out",
            topology=False, **options,
        )  # fmt: skip
        evaluate(config, Silence())
        return json.loads((tmp_path / "out" / "report.json").read_text())

    return run
