"""`rurnet benchmark PROTOCOL`: how it is typed."""

import pytest
from cyclopts import App

from flows.cli.benchmark import benchmark


@pytest.mark.parametrize(
    "words", [["--seeds", "1", "2", "3"], ["--seeds", "1", "--seeds", "2", "--seeds", "3"]]
)
def test_several_seeds_are_typed_as_the_documentation_has_it(words):
    app = App(result_action="return_value")
    app.default(benchmark)
    _, given, _ = app.parse_args(["drive", *words], exit_on_error=False)
    assert given.arguments["seeds"] == (1, 2, 3)
