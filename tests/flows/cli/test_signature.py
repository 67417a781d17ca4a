"""A model's fields as parameters."""

import pytest

from flows.cli.signature import with_fields
from pipelines.config.inference import InferRoads


def test_a_function_with_a_models_fields_checks_them_by_the_model():
    function = with_fields(InferRoads, lambda config: config, "Help.")
    assert function(["a.tif"], tile=256).tile == 256
    with pytest.raises(ValueError, match="overlap"):
        function(tile=64, overlap=64)
    with pytest.raises(TypeError):
        function(unknown=1)
