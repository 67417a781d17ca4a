"""How two runs on the same scenes differ."""

import math
from collections.abc import Sequence

from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import ComparedScene, ComparedScore, Comparison
from pipelines.scores.curve import Number
from pipelines.scores.intervals import Difference, differences
from pipelines.scores.scores import per_scene


def compared(
    a: str,
    first: Sequence[SceneOutcome],
    b: str,
    second: Sequence[SceneOutcome],
    level: int,
    classes: Sequence[str] = (),
) -> Comparison | None:
    """Compares two runs on the scenes that were scored in both.

    Args:
        a: What the first run is called.
        first: Its outcomes.
        b: What the second run is called.
        second: Its outcomes.
        level: The chosen threshold.
        classes: Names of the foreground classes.

    Returns:
        The comparison; None where no scene was scored in both.
    """
    counts_a, counts_b = (
        {one.name: one.scores.counts for one in outcomes if one.scores is not None}
        for outcomes in (first, second)
    )
    scenes = [name for name in counts_a if name in counts_b]
    if not scenes:
        return None
    of_a, of_b = ([counts[name] for name in scenes] for counts in (counts_a, counts_b))
    f1 = [per_scene(counts, level, classes)["foreground.f1"].tolist() for counts in (of_a, of_b)]
    pixels = [[one.strict[0].sum() for one in counts] for counts in (of_a, of_b)]
    return Comparison(
        a=a,
        b=b,
        scenes=len(scenes),
        unpaired=sorted({one.name for one in (*first, *second)} - {*scenes}),
        unlike=[name for name, one, other in zip(scenes, *pixels, strict=True) if one != other],
        rows=[_row(path, of) for path, of in differences(of_a, of_b, level, classes).items()],
        paired=[
            ComparedScene(name, _number(one), _number(other), _number(other - one))
            for name, one, other in zip(scenes, *f1, strict=True)
        ],
    )


def _row(path: str, of: Difference) -> ComparedScore:
    low, high = of.interval or (None, None)
    mean_low, mean_high = of.mean_interval or (None, None)
    return ComparedScore(
        column=path,
        a=_number(of.a),
        b=_number(of.b),
        difference=_number(of.difference),
        low=low,
        high=high,
        mean=_number(of.mean),
        mean_low=mean_low,
        mean_high=mean_high,
    )


def _number(value: float) -> Number:
    return None if math.isnan(value) else value
