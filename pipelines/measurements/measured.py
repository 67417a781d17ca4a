"""What is measured of a scene, and what of a batch, as numbers by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
from affine import Affine

from pipelines.measurements.certainty import Place
from pipelines.measurements.network import Network
from pipelines.measurements.vessels import VesselTree
from pipelines.scores.curve import Number

Numbers = Mapping[str, Number]
"""By name, see docs/measurements.md; None where one is undefined."""


@dataclass(frozen=True)
class SceneMeasures:
    """What is measured of a scene.

    Attributes:
        lines: Of its roads, or of the vessels of a fundus.
        uncertain: Where its prediction is least certain, the worst place first.
        transform: From pixels to coordinates.
        micrometres: Side of a fundus's pixel on the retina, where it is known.
        expected_f1: Of its mask, by the probabilities alone; None where there is nothing.
    """

    lines: Network | VesselTree
    uncertain: Sequence[Place]
    transform: Affine
    micrometres: float | None = None
    expected_f1: Number = None

    @property
    def numbers(self) -> Numbers:
        """All that is measured, by name."""
        lines = self.lines
        if isinstance(lines, VesselTree):
            found = of_tree(lines, self.micrometres)
        else:
            found = of_networks([lines])
        return {**found, "expected_f1": self.expected_f1}


def of_networks(networks: Sequence[Network]) -> Numbers:
    """The numbers of one scene's roads, or of those of several together.

    Metres are there where the pixel size of all is known.
    """
    sides = [one.side for one in networks]
    pixels = sum(one.pixels for one in networks)
    foreground = sum(one.foreground for one in networks)
    steps = sum(one.steps for one in networks)
    known = [(one, side) for one, side in zip(networks, sides, strict=True) if side is not None]
    area = road = length = nan
    if len(known) == len(networks):
        area = sum(one.pixels * side**2 for one, side in known)
        road = sum(one.foreground * side**2 for one, side in known)
        length = sum(one.steps * side for one, side in known)
    return _plain(
        {
            "area_km2": area / 1e6,
            "foreground_share": _over(foreground, pixels),
            "length_km": length / 1e3,
            "km_per_km2": _over(length * 1e3, area),
            "width_m": _over(road, length),
            "length_px": steps,
            "width_px": _over(foreground, steps),
        }
    )


def of_tree(tree: VesselTree, micrometres: float | None = None) -> Numbers:
    """The numbers of a fundus; in units of length too where a pixel's micrometres are known."""
    whole, diameter = tree.whole, tree.diameter
    units = {}
    if micrometres is not None:
        units = {
            "um_per_px": micrometres,
            "length_mm": whole.length * micrometres / 1e3,
            "calibre_um": whole.calibre * micrometres,
            "calibre_sd_um": whole.calibre_sd * micrometres,
            "turning_per_mm": tree.turning / micrometres * 1e3,
            "diameter_mm": diameter * micrometres / 1e3,
        }
    return _plain(
        {
            "density": whole.density,
            "length_px": whole.length,
            "length_diameters": whole.length / diameter,
            "calibre_px": whole.calibre,
            "calibre_sd_px": whole.calibre_sd,
            "calibre_per_mille": 1e3 * whole.calibre / diameter,
            "calibre_sd_per_mille": 1e3 * whole.calibre_sd / diameter,
            "arc_chord": tree.arc_chord,
            "turning_per_diameter": tree.turning * diameter,
            "fractal_dimension": tree.dimension,
            "bifurcation_angle": tree.angle,
            "segments": len(tree.segments),
            "bifurcations": tree.count("bifurcation"),
            "crossings": tree.count("crossing"),
            "ends": tree.count("end"),
            "diameter_px": diameter,
            **units,
        }
    )


def spread(every: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation (n - 1) of each number over scenes, where it is defined."""
    mean, deviation = {}, {}
    for name in dict.fromkeys(name for one in every for name in one):
        values = np.array([one[name] for one in every if one.get(name) is not None], np.float64)
        mean[name] = float(values.mean()) if values.size else nan
        deviation[name] = float(values.std(ddof=1)) if values.size > 1 else nan
    return _plain(mean), _plain(deviation)


def _over(part: float, whole: float) -> float:
    return part / whole if whole else nan


def _plain(numbers: Mapping[str, float]) -> Numbers:
    return {name: value if isfinite(value) else None for name, value in numbers.items()}
