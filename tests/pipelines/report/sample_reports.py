"""A complete report as docs/report.md has it, with numbers that fit together."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydantic import TypeAdapter

from pipelines.results.report import Report

LEVELS = 255
RHO = 2.0


def _ratio(part, whole):
    return part / whole if whole else None


def _confusion(hits, false_alarms, misses, rest):
    total = hits + false_alarms + misses + rest
    wide = (
        (hits + false_alarms) * (hits + misses) * (rest + false_alarms) * (rest + misses)
    ) ** 0.5
    return {
        "precision": _ratio(hits, hits + false_alarms),
        "recall": _ratio(hits, hits + misses),
        "f1": _ratio(2 * hits, 2 * hits + false_alarms + misses),
        "iou": _ratio(hits, hits + false_alarms + misses),
        "specificity": _ratio(rest, rest + false_alarms),
        "accuracy": _ratio(hits + rest, total),
        "mcc": _ratio(hits * rest - false_alarms * misses, wide),
    }


def _scores(quality, topology, classes, empty=False):
    """Scores of a scene with 100,000 pixels; `quality` is its F1, `empty` has no foreground."""
    positive = 0 if empty else 9000
    hits = round(positive * (quality + 0.01))
    false_alarms = round(hits * (1 / (quality - 0.005) - 1)) if hits else 120
    confusion = _confusion(hits, false_alarms, positive - hits, 100_000 - positive - false_alarms)
    defined = None if empty else quality
    area = None if empty else 0.5 + quality / 2
    best = {"f1": defined and quality + 0.004, "threshold": None if empty else 0.46}
    break_even = {"value": defined and quality - 0.001, "threshold": None if empty else 0.48}
    bins = [
        {
            "probability": (index + 0.5) / 10,
            "share": 0.0 if empty else min(1.0, ((index + 0.5) / 10) ** 1.2),
            "pixels": 60_000 >> index,
        }
        for index in range(9)
    ] + [{"probability": None, "share": None, "pixels": 0}]
    scores = {
        "pixels": 100_000,
        "foreground_share": positive / 100_000,
        "foreground": confusion,
        "at_threshold": confusion | {"threshold": 0.5},
        "best": best,
        "break_even": break_even,
        "roc_auc": area,
        "average_precision": defined and quality + 0.05,
        "calibration": {"ece": 0.021, "bins": bins},
        "certainty": {"aurc": 0.004, "errors_found": 0.71},
        "class_mean": {
            "iou": (confusion["iou"] + 0.96) / 2 if confusion["iou"] is not None else None,
            "recall": defined, "precision": defined, "f1": defined, "break_even": defined,
        },
        "classes": {},
        "relaxed": {
            "rho": RHO, "precision": defined and quality + 0.08,
            "recall": defined and quality + 0.1, "f1": defined and quality + 0.09,
            "break_even": defined and quality + 0.088,
        },
        "topology": None,
    }  # fmt: skip
    if topology:
        scores["topology"] = {
            "cldice": defined and quality + 0.02, "cl_precision": defined and quality + 0.03,
            "cl_recall": defined and quality + 0.01, "apls": defined and quality - 0.1,
            "components": round(60 - 40 * quality), "label_components": 0 if empty else 21,
            "loops": 30, "label_loops": 0 if empty else 41, "parts": 1,
        }  # fmt: skip
    if classes:
        scores["classes"] = {
            name: {key: scores[key] for key in (
                "foreground", "best", "break_even", "roc_auc", "average_precision")}
            for name in ("background", *classes)
        }  # fmt: skip
    return scores


def _flat(scores, prefix=""):
    """Numbers by column of scores.csv."""
    flat = {}
    for key, value in scores.items():
        if key in ("bins", "classes", "rho"):
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _undefined(value):
    """The same scores, none of them defined."""
    if isinstance(value, dict):
        return {key: _undefined(inner) for key, inner in value.items()}
    return [_undefined(inner) for inner in value] if isinstance(value, list) else None


def _means(all_scores):
    flat = [_flat(scores) for scores in all_scores]
    mean, sd = {}, {}
    for column in flat[0] if flat else ():
        values = [line[column] for line in flat if line.get(column) is not None]
        mean[column] = float(np.mean(values)) if values else None
        sd[column] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return mean, sd


def _intervals(pooled, n):
    if n < 2:
        return None
    return {
        column: None if value is None else [value - 0.011, value + 0.011]
        for column, value in _flat(pooled).items()
    }


def _curve():
    threshold = np.arange(LEVELS) / (LEVELS - 1)
    recall = 1 - threshold**1.6
    precision = 0.08 + 0.9 * threshold**0.12
    precision[0] = 0.09
    return {
        "threshold": threshold.tolist(),
        "precision": [*precision[:-1].tolist(), None],
        "recall": recall.tolist(),
        "relaxed_precision": [*np.minimum(1, precision + 0.05)[:-1].tolist(), None],
        "relaxed_recall": np.minimum(1, recall * 1.06).tolist(),
    }


def build_report(
    names=("Image_11L", "Image_11R", "Image_12L", "Image_12R"),
    *,
    qualities=None,
    labelled=True,
    steps=3,
    second=True,
    topology=True,
    classes=(),
    comparison=True,
    failed=(),
    figures=False,
):
    """A report with one scene per name; a quality of None is a scene without foreground.

    `failed` are inputs with their errors.
    """
    if qualities is None:
        qualities = [0.76 + 0.04 * ((7 * index) % 5) / 5 for index in range(len(names))]
    scored = [
        _scores(0.3 if quality is None else quality, topology, classes, empty=quality is None)
        for quality in qualities
    ]
    labelled = labelled and bool(names)
    there = [quality for quality in qualities if quality is not None]
    # Not the mean: scenes are of different size.
    overall = float(np.mean(there)) - 0.004 if there else 0.3
    pooled = _scores(overall, topology, classes, empty=not there)
    mean, sd = _means(scored)
    by_step = [
        _scores(overall - 0.05 * 0.35**index * (index < steps - 1), topology, classes)
        for index in range(steps)
    ]
    drawn = _scores(0.772, topology, classes)
    for group in ("best", "break_even", "roc_auc", "average_precision", "calibration", "certainty"):
        drawn[group] = _undefined(drawn[group])
    drawn_mean, drawn_sd = _means([drawn for _ in names])
    contents = {
        "schema": 2,
        "created": "2026-11-21T09:35:17+00:00",
        "version": "0.2.0",
        "data": "/data/chase_db1",
        "model": {
            "name": "vessels-dru4", "task": "vessels", "bands": 3,
            "classes": ["background", *classes] if classes else ["background", "vessel"],
            "network": "recurrent-unet-dru", "steps": steps, "weights_sha256": "3f" * 32,
        },
        "settings": {
            "scenes": ["/data/chase_db1"], "labels": "/data/chase_db1", "model": ["vessels-dru4"],
            "steps": None, "tile": 512, "overlap": 64, "batch": 4, "threshold": 0.5,
            "device": "cpu", "save_steps": True, "value_range": None, "min_size": 0,
            "figures": figures, "bands": None,
        },
        "scoring": {
            "threshold": 0.5, "rho": RHO, "ignore": [],
            "counted": "pixels inside the field of view",
            "scored": "probability.tif as written, in levels of 1/254",
        },
        "pooled": pooled if labelled else None,
        "mean": mean if labelled else None,
        "sd": sd if labelled else None,
        "intervals": _intervals(pooled, len(names)) if labelled else None,
        "second_observer": {
            "pooled": drawn, "mean": drawn_mean, "sd": drawn_sd,
            "intervals": _intervals(drawn, len(names)),
            "scenes": [{"name": name, "scores": drawn} for name in names],
        } if second and labelled else None,
        "steps": [
            {
                "step": index + 1, "seconds_per_megapixel": 0.81 * (index + 1),
                "pooled": scores, "intervals": _intervals(scores, len(names)),
            }
            for index, scores in enumerate(by_step if labelled else ())
        ],
        "comparison": {
            "a": "vessels-dru4", "b": "vessels-unet", "scenes": len(names),
            "unpaired": [], "unlike": [],
            "rows": [
                {"column": "foreground.f1", "a": 0.781, "b": 0.764, "difference": -0.017,
                 "low": -0.026, "high": -0.009,
                 "mean": -0.016, "mean_low": -0.024, "mean_high": -0.008},
                {"column": "break_even.value", "a": 0.78, "b": 0.778, "difference": -0.002,
                 "low": -0.008, "high": 0.004,
                 "mean": -0.002, "mean_low": -0.009, "mean_high": 0.004},
                {"column": "topology.apls", "a": None, "b": None, "difference": None,
                 "low": None, "high": None,
                 "mean": None, "mean_low": None, "mean_high": None},
            ],
            "paired": [
                {"scene": name, "a": 0.78, "b": 0.76 + 0.03 * (index % 2),
                 "difference": -0.02 + 0.03 * (index % 2)}
                for index, name in enumerate(names)
            ],
        } if comparison and labelled else None,
        "curve": _curve() if labelled else None,
        "scenes": [
            {
                "name": name, "input": f"/data/chase_db1/{name}.jpg",
                "label": f"/data/chase_db1/{name}_1stHO.png" if labelled else None,
                "height": 960, "width": 999, "tiles": 9, "parts": 1, "parts_computed": 1,
                "seconds": 2.4, "files": {"mask": f"{name}/mask.tif"},
                "label_left_out": 0.0 if labelled else None,
                "pixel_size": None, "seen": [960, 999], "remarks": [],
                "field": None,
                "scores": scores if labelled else None,
            }
            for name, scores in zip(names, scored, strict=True)
        ],
        "failed": [{"input": name, "error": error} for name, error in failed],
        "skipped": [],
        "made_with": {
            "command": "rurnet infer-drive --scenes /data/chase_db1 --save-steps",
            "python": "3.11.2", "platform": "Linux-6.1-x86_64", "processor": "Xeon", "cores": 2,
            "device": "cpu", "packages": {"rurnet": "0.2.0", "torch": "2.11.0"}, "seconds": 83.2,
        },
    }  # fmt: skip
    return TypeAdapter(Report).validate_python(contents)


def with_changes(value, changes):
    """The same report, or part of one, with other values under some paths ("scenes.0.name")."""
    for path, new in changes.items():
        name, _, rest = path.partition(".")
        if isinstance(value, Mapping):
            # The keys of columns have points in them.
            value = value | (
                {path: new} if path in value else {name: with_changes(value[name], {rest: new})}
            )
        elif isinstance(value, list | tuple):
            each = list(value)
            each[int(name)] = with_changes(each[int(name)], {rest: new})
            value = each
        else:
            old = getattr(value, name)
            value = replace(value, **{name: with_changes(old, {rest: new}) if rest else new})
    return value
