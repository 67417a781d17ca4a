"""Options of a command that come from several classes."""

from inspect import get_annotations
from itertools import combinations

import pytest

from flows.table import FLOWS


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_no_option_means_two_things(flow):
    # A class may give an option of its base another default, but two classes that do not know of
    # each other must not both have it: one of them would be passed over without a word.
    config = flow.config()
    for name in config.model_fields:
        owners = [each for each in config.__mro__ if name in get_annotations(each)]
        for one, base in combinations(owners, 2):
            assert issubclass(one, base), f"{name}: {one.__name__}, {base.__name__}"
