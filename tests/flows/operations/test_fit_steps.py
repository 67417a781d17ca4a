"""`rurnet fit-steps WEIGHTS SCENES`."""

import numpy as np
import pytest

from flows.errors import FlowsError
from flows.operations.fit_steps import fit_steps
from pipelines.datasets.synthetic import write_road_scene
from pipelines.models.weights import load


def test_a_rule_that_leaves_out_no_step_is_not_written(write_raster, tmp_path):
    scenes, labels = tmp_path / "sat", tmp_path / "map"
    for seed in (20, 21):
        write_road_scene(scenes / f"{seed}.tif", labels / f"{seed}.tif", 256, seed)
    output = tmp_path / "made.safetensors"
    with pytest.raises(FlowsError, match=r"no rule leaves out a step .* nothing was written"):
        fit_steps("roads-dru4", [str(scenes)], labels=labels, output=output)
    assert not output.exists()
    # What the error advises: a scene with nothing to find.
    write_raster(scenes / "snow.tif", np.full((3, 256, 256), 255, np.uint8))
    write_raster(labels / "snow.tif", np.zeros((1, 256, 256), np.uint8))
    fit_steps("roads-dru4", [str(scenes)], labels=labels, output=output)
    assert load(str(output)).card.stopping is not None
