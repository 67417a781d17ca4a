"""A client of S3 that asks the same server, in the same way, as GDAL does."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipelines.errors import DataError, shortened

_NO = ("NO", "FALSE", "OFF", "0")

_YES = ("YES", "TRUE", "ON", "1")


@dataclass(frozen=True)
class Place:
    """A place in a bucket.

    Attributes:
        beginning: What its name begins with: `s3://` or `/vsis3/`.
        bucket: Name of the bucket.
        key: Of an object, or the beginning of keys.
    """

    beginning: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.beginning}{self.bucket}/{self.key}"


def place_of(name: str) -> Place | None:
    """The place that a name is of; None where it is no name of S3."""
    found = re.fullmatch(r"(s3://|/vsis3/)([^/?#@]+)/?(.*)", name, re.DOTALL)
    return found and Place(*found.groups())


def client() -> Any:
    """A client of boto3, with the server and the credentials that the environment names.

    GDAL's variables say where the server is: `AWS_S3_ENDPOINT`, `AWS_HTTPS`, `AWS_VIRTUAL_HOSTING`,
    `AWS_NO_SIGN_REQUEST`. Credentials come from where boto3 looks for them.

    Raises:
        DataError: boto3 is not installed.
    """
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as error:
        raise DataError(
            "S3 needs boto3: pip install 'rurnet[s3]'; single scenes are read without it by their "
            "whole names"
        ) from error
    told = {name: os.environ.get(name, "").upper() for name in _SWITCHES}
    config: dict[str, Any] = {}
    if told["AWS_VIRTUAL_HOSTING"] in _NO:
        config["s3"] = {"addressing_style": "path"}
    if told["AWS_NO_SIGN_REQUEST"] in _YES:
        config["signature_version"] = UNSIGNED
    endpoint = os.environ.get("AWS_S3_ENDPOINT")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'http' if told['AWS_HTTPS'] in _NO else 'https'}://{endpoint}"
    return boto3.client("s3", endpoint_url=endpoint or None, config=Config(**config))


_SWITCHES = ("AWS_VIRTUAL_HOSTING", "AWS_NO_SIGN_REQUEST", "AWS_HTTPS")


@contextmanager
def refusals_named(place: Place, remedy: str) -> Iterator[None]:
    """Names the place and a remedy in errors of the server and the connection.

    Raises:
        DataError: Instead of those.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise DataError(f"{place}: {shortened(error)}; {remedy}") from error
