"""The scenes under a prefix of a bucket: a folder, where the files are objects."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from glob import has_magic

from pipelines.errors import DataError
from pipelines.inputs.s3.client import Place, client, place_of, refusals_named
from tiling.errors import SceneError
from tiling.readers.sources import check_sources
from tiling.scenes.names import extension_of


def is_prefix(name: str) -> bool:
    """Whether a name is that of several objects: `s3://bucket/scenes/`, or a pattern of names."""
    place = place_of(name)
    return place is not None and (
        place.key in ("",) or place.key.endswith("/") or has_magic(place.key)
    )


def objects_in(name: str, extensions: Sequence[str]) -> list[str]:
    """The rasters right under a prefix, or those that fit a pattern, in the order of their names.

    Args:
        name: As in `s3://bucket/scenes/` or `s3://bucket/scenes/*.tif`.
        extensions: Of the rasters that are looked for under a prefix.

    Raises:
        DataError: The server refuses, boto3 is not installed, or it lies outside of the roots.
    """
    place = place_of(name)
    assert place is not None
    folder, _, last = place.key.rpartition("/")
    folder = f"{folder}/" if folder else ""
    if has_magic(folder):
        raise DataError(
            f"{name}: patterns of folders are not looked for in S3; give one folder, as in "
            "s3://bucket/scenes/*.tif"
        )
    try:
        check_sources(str(Place(place.beginning, place.bucket, folder)))
    except SceneError as error:
        raise DataError(str(error)) from error
    keys = [key[len(folder) :] for key in _keys(Place(place.beginning, place.bucket, folder))]
    fitting = [
        key
        for key in sorted(keys)
        if (fnmatchcase(key, last) if last else extension_of(key) in extensions)
        and not key.startswith(".")
    ]
    return [str(Place(place.beginning, place.bucket, folder + key)) for key in fitting]


def _keys(place: Place) -> list[str]:
    """The keys right under a prefix, not those further down."""
    pages = client().get_paginator("list_objects_v2")
    with refusals_named(place, "check the bucket, the AWS_ variables and your rights there"):
        return [
            each["Key"]
            for page in pages.paginate(Bucket=place.bucket, Prefix=place.key, Delimiter="/")
            for each in page.get("Contents", ())
        ]
