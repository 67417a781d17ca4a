"""Which scores the page and the terminal show where, under which title."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A score as it is shown.

    Attributes:
        path: Where it stands in a report, see `pipelines.scores.scores.PATHS`.
        title: What it is called.
        note: What it says, in a sentence.
        form: How it is formatted, see `pipelines.report.formats.number`.
    """

    path: str
    title: str
    note: str
    form: str = ".3f"


SCENES = (
    Column("foreground.f1", "F1", "Harmonic mean of precision and recall, at probability 0.5."),
    Column("foreground.precision", "precision", "Share of what was found that is in the label."),
    Column("foreground.recall", "recall", "Share of the label that was found."),
    Column("foreground.iou", "IoU", "Overlap of found and label, over their union."),
    Column("break_even.value", "break-even", "Where precision equals recall, at any threshold."),
    Column("best.f1", "best F1", "The highest F1 of all thresholds."),
    Column("best.threshold", "best at", "The threshold of the best F1.", ".2f"),
    Column("relaxed.f1", "relaxed F1", "F1 that forgives a few pixels of distance."),
    Column("topology.cldice", "clDice", "Agreement of centre lines: are thin ones connected?"),
    Column("topology.apls", "APLS", "Agreement of path lengths between points of the network."),
    Column("topology.components", "components", "Connected components that were predicted.", "n"),
    Column("topology.label_components", "in label", "Connected components of the label.", "n"),
    Column("class_mean.iou", "mIoU", "IoU, mean over all classes, background included."),
    Column("average_precision", "AP", "Average precision: area under the P/R curve."),
    Column("roc_auc", "ROC AUC", "Chance that a foreground pixel outranks one of background."),
    Column("foreground.mcc", "MCC", "Correlation of prediction and label, -1 to 1."),
)
"""In the table of scenes."""


_OTHERS = (
    Column("relaxed.break_even", "relaxed break-even", "Break-even that forgives a few pixels."),
    Column("at_threshold.f1", "F1 as chosen", "F1 at the chosen threshold."),
    Column("calibration.ece", "ECE", "Mean distance of predicted probability from what came true."),
)


COLUMNS = {column.path: column for column in (*SCENES, *_OTHERS)}
"""All that the page shows, by path; `report.json` and `scores.csv` have every score."""


TILES = ("foreground.f1", "break_even.value", "topology.cldice", "relaxed.f1")
"""The large numbers at the top of the page: the first three that there are."""


OTHERS = (
    "foreground.precision", "foreground.recall", "foreground.iou", "relaxed.break_even",
    "topology.apls", "class_mean.iou", "average_precision",
)  # fmt: skip
"""The small numbers below them."""


STEPS = ("foreground.f1", "break_even.value", "class_mean.iou", "relaxed.f1", "topology.cldice")
"""In the table of recurrent steps."""


CLASSES = (
    "foreground.f1", "foreground.precision", "foreground.recall", "foreground.iou",
    "break_even.value", "best.f1", "average_precision", "roc_auc",
)  # fmt: skip
"""In the table of classes."""


COMPARED = (
    "foreground.f1", "foreground.precision", "foreground.recall", "foreground.iou",
    "break_even.value", "best.f1", "relaxed.f1", "relaxed.break_even", "topology.cldice",
    "topology.apls", "class_mean.iou", "average_precision", "roc_auc", "foreground.mcc",
)  # fmt: skip
"""In the table of two runs: scores of which more is better."""


_EXPECTED = Column(
    "expected_f1", "expected F1", "What the probabilities themselves make expect, without a label."
)

MEASURED = {
    "roads": (
        Column("length_km", "km of road", "Length of all centre lines.", ".2f"),
        Column("km_per_km2", "km per km²", "Length per area of the scene that is there.", ".2f"),
        Column("foreground_share", "share of road", "Of the area that is there.", ".1%"),
        Column("width_m", "mean width, m", "Area of the roads over their length.", ".1f"),
        Column("area_km2", "area, km²", "Of the scene, as far as it is there.", ".2f"),
        Column("width_px", "mean width, px", "Area of the roads over their length.", ".1f"),
        Column("length_px", "length, px", "Length of all centre lines, in pixels.", "n0"),
        _EXPECTED,
    ),
    "vessels": (
        Column("density", "vessel density", "Share of the field of view that is vessel.", ".1%"),
        Column("calibre_px", "calibre, px", "Mean width of the vessels along them.", ".2f"),
        Column("fractal_dimension", "fractal dimension", "Of the centre lines, by box counting."),
        Column("calibre_um", "calibre, µm", "Mean width on the retina.", ".1f"),
        Column("length_mm", "length, mm", "Of all centre lines, on the retina.", ".1f"),
        Column("calibre_sd_px", "SD of calibre, px", "Along all vessels.", ".2f"),
        Column("calibre_per_mille", "calibre, ‰ of field", "Per diameter of the field.", ".2f"),
        Column("arc_chord", "tortuosity, arc / chord", "Length over the way of its ends."),
        Column("turning_per_diameter", "turning, rad", "Per diameter of the field.", ".1f"),
        Column("length_diameters", "length, fields", "In diameters of the field.", ".1f"),
        Column("bifurcations", "bifurcations", "Where three vessels meet.", "n"),
        Column("bifurcation_angle", "angle, °", "Between the thinner two at bifurcations.", ".0f"),
        Column("ends", "ends", "Where a vessel ends.", "n"),
        _EXPECTED,
    ),
}
"""What is measured, as page and terminal show it; the first three are the large numbers."""


TERMINAL = {
    "F1": "at_threshold.f1",
    "precision": "at_threshold.precision",
    "recall": "at_threshold.recall",
    "IoU": "at_threshold.iou",
    "break-even": "break_even.value",
    "relaxed F1": "relaxed.f1",
    "clDice": "topology.cldice",
}
"""On a terminal and in Prefect's artifacts, path by title: of the masks as they were cut."""
