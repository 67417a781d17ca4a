"""The photograph that results belong to, and the software that made them."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pipelines.errors import DataError
from pipelines.models.weights import ModelFacts

MANUFACTURER = "RurNet"

_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""What results take over, and what a file whose person was made unknown may lack."""

_SEXES = ("M", "F", "O", "")

_ANY_CHARACTERS = "ISO_IR 192"
"""UTF-8."""

_LONGEST = 64
"""Characters of a DICOM text of the kind LO."""


@dataclass(frozen=True)
class Software:
    """What made the results.

    Attributes:
        model: Names of the weights.
        weights: SHA-256 of their files.
        parameters: Name and value of what else changes a mask.
    """

    model: str
    weights: str
    parameters: dict[str, str]

    @property
    def version(self) -> str:
        """Of RurNet."""
        return version("rurnet")

    @property
    def short(self) -> str:
        """The names as short as DICOM wants them."""
        return self.model[:_LONGEST]


def software_of(models: Sequence[ModelFacts], steps: int, threshold: float) -> Software:
    """What made a mask: weights, recurrent steps and threshold."""
    names = ",".join(model.name for model in models)
    digests = ",".join(model.digest for model in models)
    return Software(
        names,
        digests,
        {
            "weights": names,
            "weights_sha256": digests,
            "steps": str(steps),
            "threshold": f"{threshold:.6g}",
        },
    )


def read_source(file: str, called: str) -> tuple[Any, tuple[str, ...]]:
    """The data set of a photograph, without its pixels, so that results can take from it.

    Values that DICOM does not allow, such as a birth date without a day, are emptied: nothing
    that is written could hold them.

    Returns:
        The data set, and what a person should know of it: at most one line, which quotes nothing.

    Raises:
        DataError: It does not say which study it is of.
    """
    import pydicom

    data = pydicom.dcmread(file, stop_before_pixels=True)
    for name in _MAY_BE_EMPTY:
        if name not in data:
            setattr(data, name, "")
    if not data.get("StudyInstanceUID") or not data.get("SeriesInstanceUID"):
        raise DataError(
            f"{called}: has no Study or Series Instance UID, so no DICOM results can refer to it; "
            "--no-dicom-results leaves them out"
        )
    _mend_characters(data)
    data.InstanceNumber = _number(data)
    emptied = _emptied(data)
    if not emptied:
        return data, ()
    return data, (
        f"{called}: its {', '.join(emptied)} has a value that DICOM does not allow, and is empty "
        "in the DICOM results; correct it in the photograph and run with --overwrite",
    )


def _mend_characters(data: Any) -> None:
    """Has texts in a character set that DICOM does not know, as in "UTF-8", written in UTF-8."""
    from highdicom.enum import SpecificCharacterSetValues

    named = data.get("SpecificCharacterSet") or []
    known = {one.value for one in SpecificCharacterSetValues} | {""}
    if not {named} <= known if isinstance(named, str) else not set(named) <= known:
        data.decode()
        data.SpecificCharacterSet = _ANY_CHARACTERS


def _number(data: Any) -> int:
    """The number of the photograph in its series, from 1 on."""
    try:
        return max(1, int(data.InstanceNumber))
    except (AttributeError, TypeError, ValueError):
        return 1


def _emptied(data: Any) -> list[str]:
    """Empties what is no date, time or sex; returns the keywords of what was."""
    from pydicom.valuerep import DA, TM

    def is_sex(value: str) -> None:
        if value not in _SEXES:
            raise ValueError

    kinds: dict[str, Callable[[str], object]] = {
        "PatientBirthDate": DA, "PatientSex": is_sex, "StudyDate": DA, "StudyTime": TM,
    }  # fmt: skip
    found = []
    for keyword, kind in kinds.items():
        try:
            kind(data.get(keyword) or "")
        except (TypeError, ValueError):
            setattr(data, keyword, "")
            found.append(keyword)
    return found


def uid_from(*told: object) -> str:
    """A UID that is always the same of the same things."""
    text = "\n".join(map(str, told))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, digest).int}"
