"""The codes in which results are said in DICOM: what was measured, and where.

Codes of DICOM and SNOMED CT stand in DICOM PS3.16; names that have none are of our own scheme.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SCHEME = "99RURNET"
"""Ours; codes of it are the names of docs/measurements.md."""

_NONE, _PIXELS = ("1", "no units"), ("{pixels}", "pixels")

MEASURED = {
    "density": ("Vessel density of the field of view", _NONE),
    "length_px": ("Length of all vessel centre lines", _PIXELS),
    "length_diameters": ("Length of all vessel centre lines in field diameters", _NONE),
    "length_mm": ("Length of all vessel centre lines on the retina", ("mm", "mm")),
    "calibre_px": ("Mean vessel calibre", _PIXELS),
    "calibre_sd_px": ("Standard deviation of the vessel calibre", _PIXELS),
    "calibre_per_mille": ("Mean vessel calibre per field diameter", ("[ppth]", "per mille")),
    "calibre_sd_per_mille": (
        "Standard deviation of the vessel calibre per field diameter", ("[ppth]", "per mille"),
    ),
    "calibre_um": ("Mean vessel calibre on the retina", ("um", "um")),
    "calibre_sd_um": ("Standard deviation of the vessel calibre on the retina", ("um", "um")),
    "arc_chord": ("Vessel tortuosity as arc over chord", _NONE),
    "turning_per_diameter": ("Vessel tortuosity as turning per field diameter", ("rad", "rad")),
    "turning_per_mm": ("Vessel tortuosity as turning per length", ("rad/mm", "rad/mm")),
    "fractal_dimension": ("Fractal Dimension", _NONE),
    "bifurcation_angle": ("Mean angle of vessel bifurcations", ("deg", "deg")),
    "segments": ("Vessel segments", ("{segments}", "segments")),
    "bifurcations": ("Vessel bifurcations", ("{bifurcations}", "bifurcations")),
    "crossings": ("Vessel crossings", ("{crossings}", "crossings")),
    "ends": ("Vessel ends", ("{ends}", "ends")),
    "diameter_px": ("Diameter of the field of view", _PIXELS),
    "diameter_mm": ("Diameter of the field of view on the retina", ("mm", "mm")),
    "um_per_px": ("Side of a pixel on the retina", ("um", "um")),
}  # fmt: skip
"""What each number of a fundus is called, and its unit in UCUM: code and meaning."""

_OF_DICOM = {"fractal_dimension": ("126050", "DCM")}


def concept(name: str) -> "Code":
    """The code of a number, by its name in docs/measurements.md."""
    from pydicom.sr.coding import Code

    value, scheme = _OF_DICOM.get(name, (name, SCHEME))
    return Code(value, scheme, MEASURED[name][0])


def unit(name: str) -> "Code":
    """The code of a number's unit."""
    from pydicom.sr.coding import Code

    value, meaning = MEASURED[name][1]
    return Code(value, "UCUM", meaning)
