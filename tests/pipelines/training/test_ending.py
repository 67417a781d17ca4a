"""Why a training ended, and what can be done next."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.config.training import TrainDrive
from pipelines.models.weights import card_of
from pipelines.training.ending import Chosen, Reached, ending_of

OUT = Path("runs/train-drive/vessels.safetensors")


def ended(reached, chosen, fold=(1, 1), card=None, **told):
    if not isinstance(chosen, Chosen):
        chosen = Chosen(chosen, dict(reached.scores).get(chosen))
    return ending_of(
        TrainDrive(**told), card or card_of("vessels-dru4"), OUT, chosen, reached, fold
    )


def test_time_that_was_too_short_is_told_with_two_ways_on():
    end = ended(Reached(75, 180.0, ((75, 0.6123),)), 75, max_time=3)
    assert end.said == (
        "75 of 2000 iterations in 3 min, ended early by --max-time 3; the weights are those of "
        "iteration 75, with break-even 0.612 on the held-out images"
    )
    go_on, from_weights = end.advice
    # 180 s / 75 * 2000 = 80 min, and a twentieth more.
    assert go_on == "to go on, the same command with --max-time 84"
    # 75 iterations took the whole time: nine tenths of them fit with some to spare.
    assert "--start-from vessels-dru4 --iterations 67 and another --output" in from_weights


def test_a_training_that_was_started_afresh_goes_on_without_that():
    end = ended(Reached(75, 180.0), 75, max_time=3, overwrite=True)
    assert end.advice[0].endswith("--max-time 84, without --overwrite")


def test_a_few_iterations_tell_no_pace():
    assert ended(Reached(3, 27.0), 3, max_time=0.4).advice == (
        "to go on, the same command with a longer --max-time",
    )


@pytest.mark.parametrize(
    ("told", "changed"),
    [
        ({"start_from": "vessels-dru4"}, {}),
        ({}, {"arguments": {"in_channels": 4, "classes": 2}}),
        ({}, {"network": "dru-3"}),
        ({}, {"task": "rivers"}),
    ],
    ids=["started from them", "other bands", "another network", "another task"],
)
def test_weights_are_named_only_where_they_fit(told, changed):
    card = replace(card_of("vessels-dru4"), **changed)
    assert len(ended(Reached(75, 180.0), 75, card=card, max_time=3, **told).advice) == 1


@pytest.mark.parametrize(
    ("scores", "advice"),
    [(((1000, 0.60), (2000, 0.61)), 1), (((1000, 0.60), (2000, 0.601)), 0), (((2000, 0.6),), 0)],
    ids=["rising", "level", "one scoring"],
)
def test_all_iterations_and_a_score_that_rose_to_the_end(scores, advice):
    end = ended(Reached(2000, 5000.0, scores), 2000)
    assert end.said.startswith("2000 of 2000 iterations in 83 min; the weights are those of")
    assert len(end.advice) == advice
    assert all("--iterations 4000" in one and f"--start-from {OUT}" in one for one in end.advice)


def test_a_fold_is_not_to_be_gone_on_from():
    """The other folds hold out what it was trained on."""
    end = ended(Reached(2000, 5000.0, ((1000, 0.60), (2000, 0.61))), 2000, fold=(1, 3))
    (advice,) = end.advice
    assert advice.endswith("give --iterations 4000 and another --output")


def test_patience_and_the_fold_are_named():
    end = ended(Reached(600, 60.0, ((200, 0.5), (600, 0.4))), 200, fold=(2, 5), patience=2)
    assert end.said == (
        "fold 2 of 5: 600 of 2000 iterations in 60 s, ended early after 2 scorings that were no "
        "better (--patience); the weights are those of iteration 200, with break-even 0.500 on "
        "the held-out images"
    )
    assert end.share == pytest.approx(0.4)


def test_a_checkpoint_of_before_times_were_kept():
    end = ended(Reached(2000, None), 1800)
    assert end.said == "2000 of 2000 iterations; the weights are those of iteration 1800"


def test_an_average_is_told_with_what_it_is_of():
    chosen = Chosen(1800, 0.6123, 0.25)
    end = ended(Reached(2000, None, ((1800, 0.6), (2000, 0.6))), chosen, start_from="vessels-dru4")
    assert end.said == (
        "2000 of 2000 iterations; the weights are an average of vessels-dru4 and those of "
        "iteration 1800, these with a share of 0.25, with break-even 0.612 on the held-out images"
    )
