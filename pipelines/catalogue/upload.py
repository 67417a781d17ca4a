"""Uploads a finished run to S3: file by file, the report last."""

import hashlib
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import DataError
from pipelines.inputs.s3.client import Place, client, place_of, refusals_named
from pipelines.results.reading import read_report

_DIGEST = "sha256"
"""Key of an object's metadata that says what was uploaded."""

_LAST = ("report.html", "collection.json", "report.json")
"""Files that lead to all others."""

_NOT_THERE = ("404", "NoSuchKey", "NotFound")

_TYPES = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    ".gpkg": "application/geopackage+sqlite3",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".pmtiles": "application/vnd.pmtiles",
    ".geojson": "application/geo+json",
}


@dataclass(frozen=True)
class Uploaded:
    """What an upload did.

    Attributes:
        sent: Names of the objects that were uploaded.
        kept: Names of those that were there already.
    """

    sent: list[str]
    kept: list[str]


def upload(run: Path, target: str, said: Callable[[str], None] = lambda name: None) -> Uploaded:
    """Uploads the files of a finished run, unless the same ones are there.

    An object appears when it is whole. Those of scenes come first and the report comes last, so
    that what it names is there. Nothing is deleted.

    Args:
        run: The folder of the run.
        target: Where to, as in `s3://bucket/roads`.
        said: Is told the name of each object that was uploaded.

    Raises:
        DataError: There is no report in the folder, the target is none, the server refuses, or
            boto3 is not installed.
    """
    place = place_of(target)
    if place is None:
        raise DataError(f"{target}: is no place in S3; give one as in s3://bucket/roads")
    files = _files(run)
    store = client()
    done = Uploaded([], [])
    prefix = f"{place.key.rstrip('/')}/" if place.key.strip("/") else ""
    for path in files:
        there = Place(place.beginning, place.bucket, prefix + path.relative_to(run).as_posix())
        with refusals_named(there, "check the bucket and your rights there, and run this again"):
            digest = _digest(path)
            if _digest_of(store, there) == digest:
                done.kept.append(str(there))
                continue
            store.upload_file(
                str(path), there.bucket, there.key,
                ExtraArgs={"ContentType": _type(path), "Metadata": {_DIGEST: digest}},
            )  # fmt: skip
        done.sent.append(str(there))
        said(str(there))
    return done


def _files(run: Path) -> list[Path]:
    """The finished files of a run in the order of their upload.

    Parts, locks and the ledger are the affair of the folder in which a rerun goes on.
    """
    report = read_report(run)
    scenes = [
        path
        for scene in report.scenes
        for path in sorted((run / scene.name).rglob("*"))
        if path.is_file() and not _hidden(path.relative_to(run))
    ]
    beside = [
        path
        for path in sorted(run.iterdir())
        if path.is_file() and not _hidden(path.relative_to(run)) and ".sqlite" not in path.name
    ]
    last = [run / name for name in _LAST if run / name in beside]
    return [*scenes, *(path for path in beside if path not in last), *last]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(store: Any, there: Place) -> str | None:
    """The digest of an object that we have uploaded; None where there is none."""
    from botocore.exceptions import ClientError

    try:
        told: dict[str, str] = store.head_object(Bucket=there.bucket, Key=there.key)["Metadata"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NOT_THERE:
            return None
        raise
    return told.get(_DIGEST)


def _type(path: Path) -> str:
    known = _TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
