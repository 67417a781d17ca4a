"""Settings of the scores, as the command line offers them."""

import pytest
from pydantic import ValidationError

from pipelines.config.evaluation import Evaluate
from pipelines.config.lines import Vectorise


@pytest.mark.parametrize("settings", [Evaluate, Vectorise])
def test_help_offers_no_threshold_that_is_refused(settings):
    with pytest.raises(ValidationError, match="threshold auto is for inference"):
        settings(threshold="auto")
    assert "auto is for inference alone" in settings.model_fields["threshold"].description
    assert settings(threshold=0.3).one_threshold == 0.3
