"""`python -m benchmarks.published`: the foreground scores behind published class means.

Tables 4 and 5 of Wang et al. (ICCV 2019) give means over background and foreground. With two
classes three such means (IoU, recall, precision) leave three unknowns: precision and recall of the
foreground, and its share of the labelled pixels. They are solved for, once as printed and once with
recall and precision exchanged. All networks of a table were tested on the same images, so the right
reading gives all of them one share.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares


@dataclass(frozen=True)
class Printed:
    """A row of a table: class means.

    Attributes:
        iou: Mean IoU.
        recall: As its column says.
        precision: As its column says.
        f1: As its column says.
        break_even: None where the table has none.
    """

    iou: float
    recall: float
    precision: float
    f1: float
    break_even: float | None = None

    def exchanged(self) -> "Printed":
        """The row with recall and precision exchanged."""
        return Printed(self.iou, self.precision, self.recall, self.f1, self.break_even)


@dataclass(frozen=True)
class Solved:
    """The foreground that has a row's class means.

    Attributes:
        precision: Of the foreground.
        recall: Of the foreground.
        share: Of the labelled pixels that are foreground.
        off: Largest difference to the means of the row.
    """

    precision: float
    recall: float
    share: float
    off: float

    @property
    def f1(self) -> float:
        """F1 of the foreground."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def break_even(self, mean: float) -> float:
        """Break-even of the foreground, from the mean of both classes'.

        Where precision equals recall, as many pixels are missed as are wrongly found: the classes
        lose the same pixels, so the background loses the smaller share of its own.
        """
        odds = self.share / (1 - self.share)
        return (2 * mean - 1 + odds) / (1 + odds)


VESSELS: Mapping[str, Printed] = {
    "U-Net-G": Printed(0.800, 0.897, 0.868, 0.882),
    "Rec-Simple": Printed(0.814, 0.898, 0.885, 0.892),
    "DRU(4)": Printed(0.821, 0.902, 0.891, 0.896),
    "DRU-VGG16": Printed(0.817, 0.905, 0.883, 0.894),
}
"""Table 4: DRIVE."""


ROADS: Mapping[str, Printed] = {
    "U-Net-G": Printed(0.479, 0.639, 0.502, 0.563, 0.642),
    "Rec-Middle": Printed(0.494, 0.767, 0.518, 0.574, 0.660),
    "Rec-Simple": Printed(0.534, 0.802, 0.559, 0.659, 0.723),
    "Rec-Last": Printed(0.526, 0.786, 0.551, 0.648, 0.730),
    "DRU(4)": Printed(0.560, 0.865, 0.583, 0.691, 0.757),
    "DeepLab V3+": Printed(0.529, 0.763, 0.555, 0.643, 0.710),
    "U-Net-VGG16": Printed(0.521, 0.836, 0.544, 0.659, 0.745),
    "DRU-VGG16": Printed(0.571, 0.862, 0.595, 0.704, 0.761),
}
"""Table 5: Massachusetts Roads. ICNet is left out: its precision says that it found no road."""


def class_means(foreground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean IoU, recall and precision of two classes, of precision, recall and share of one."""
    precision, recall, share = foreground
    found = recall * share
    wrong, missed = found * (1 - precision) / precision, share - found
    rejected = 1 - share - wrong
    return (
        np.array(
            [
                found / (share + wrong) + rejected / (1 - found),
                recall + rejected / (1 - share),
                precision + rejected / (rejected + missed),
            ]
        )
        / 2
    )


def solved(row: Printed) -> Solved:
    """The foreground whose class means are those of a row, found from several starts."""
    wanted = np.array([row.iou, row.recall, row.precision])
    starts = [(p, r, s) for p in (0.2, 0.7) for r in (0.02, 0.5) for s in (0.01, 0.1)]
    fits = [
        least_squares(
            lambda x: class_means(x) - wanted, start,
            bounds=([1e-4] * 3, [1 - 1e-9, 1 - 1e-9, 0.4]), xtol=1e-14, ftol=1e-14,
        )
        for start in starts
    ]  # fmt: skip
    best = min(fits, key=lambda fit: float(fit.cost))
    precision, recall, share = map(float, best.x)
    return Solved(precision, recall, share, float(np.abs(best.fun).max()))


def table(title: str, rows: Mapping[str, Printed]) -> Table:
    """Both readings of each row."""
    shown = Table("network", "reading", "precision", "recall", "F1", "share", "break-even",
                  title=title)  # fmt: skip
    for name, printed in rows.items():
        for reading, row in (("as printed", printed), ("exchanged", printed.exchanged())):
            found = solved(row)
            even = "" if row.break_even is None else f"{found.break_even(row.break_even):.3f}"
            numbers = (found.precision, found.recall, found.f1)
            shown.add_row(name, reading, *(f"{n:.3f}" for n in numbers), f"{found.share:.4f}", even)
    return shown


def main() -> None:
    """Prints both tables."""
    console = Console(width=100)
    console.print(table("Table 5, Massachusetts Roads: the foreground", ROADS))
    console.print(table("Table 4, DRIVE: the foreground", VESSELS))


if __name__ == "__main__":
    main()
