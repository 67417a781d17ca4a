"""The photograph that results belong to, and the software that made them."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pipelines.errors import DataError
from pipelines.models.weights import Model

MANUFACTURER = "RurNet"

_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""What results take over, and what a file whose person was made unknown may lack."""

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


def software_of(models: Sequence[Model], steps: int, threshold: float) -> Software:
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


def read_source(file: str, called: str) -> Any:
    """The data set of a photograph, without its pixels, so that results can take from it.

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
    return data


def uid_from(*told: object) -> str:
    """A UID that is always the same of the same things."""
    text = "\n".join(map(str, told))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, digest).int}"
