"""Levels and labels of small scenes, and their scores."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import strategies as st

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.scores.counts import Counter
from pipelines.scores.curve import HALF
from pipelines.scores.relaxed import Disc
from pipelines.scores.scores import plain, scores_of
from pipelines.scores.topology import TopologyCounts
from tiling.window import Window

NAN = float("nan")
NAMES = ("road", "house", "river")

CORNERS = {
    "nothing predicted": ([[0, 0, 3]], [[0, 1, 1]]),
    "nothing labelled": ([[0, 100, 254]], [[0, 0, 0]]),
    "nothing labelled nor predicted": ([[0, 0, 0]], [[0, 0, 0]]),
    "all labelled": ([[0, 100, 254]], [[1, 1, 1]]),
    "all labelled and predicted": ([[254, 254]], [[1, 1]]),
    "all wrong": ([[0, 254]], [[1, 0]]),
    "all ignored": ([[0, 254]], [[IGNORE_INDEX, IGNORE_INDEX]]),
    "all missing": ([[255, 255]], [[0, 1]]),
    "one pixel of background": ([[0]], [[0]]),
    "one pixel of foreground": ([[254]], [[1]]),
    "one pixel missed": ([[0]], [[1]]),
    "one pixel wrong": ([[254]], [[0]]),
    "one pixel left": ([[200, 255, 9]], [[1, 0, IGNORE_INDEX]]),
}


@st.composite
def scenes(draw, classes):
    """Levels [classes - 1, h, w] and label [h, w]; classes may be missing from both."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    label = random.integers(0, draw(st.integers(1, classes)), shape)
    odds = np.exp(draw(st.sampled_from([0.3, 3, 30])) * random.normal(size=(classes, *shape)))
    odds += np.moveaxis(np.eye(classes)[label], -1, 0) * draw(st.sampled_from([0, 3]))
    levels = np.round(254 * odds / odds.sum(axis=0))[1:].astype(np.uint8)
    levels[:, random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 255
    label[random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = IGNORE_INDEX
    return levels, label.astype(np.uint8)


def counted(levels, label, rho=1.5, graded=True, topology=None):
    counter = Counter(len(levels) + 1, Disc(rho))
    scene = Window(0, 0, *label.shape)
    counter.add(levels, label, scene, scene)
    return counter.counts(topology or TopologyCounts(), graded=graded)


def scored(levels, label, level=HALF, **how):
    names = NAMES[: len(levels)] if len(levels) > 1 else ()
    return scores_of(counted(levels, label, **how), level, names)


def reported(scores):
    """As in `report.json`."""
    return json.loads(json.dumps(asdict(plain(scores)), allow_nan=False))


def corner(name):
    levels, label = (np.array(values, np.uint8) for values in CORNERS[name])
    return levels[None], label


def same(actual, expected):
    assert np.asarray(actual) == pytest.approx(np.asarray(expected), nan_ok=True)
