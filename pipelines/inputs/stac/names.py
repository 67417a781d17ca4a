"""Names of STAC sources: a JSON file or URL, and what is picked out of it after a `#`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pipelines.errors import DataError
from tiling.scenes.names import extension_of, kind_of, shown

_EXTENSIONS = (".json", ".geojson")

_KEYS = ("collection", "item", "asset")


@dataclass(frozen=True)
class StacSource:
    """Where items are read from, and which.

    Attributes:
        file: Path or URL of a catalogue, a collection, an item, or of several items.
        collection: Id of the collection whose items are taken; None takes all.
        item: Id of the one item that is taken; None takes all.
        asset: Name of the asset that is the scene; None chooses by roles.
    """

    file: str
    collection: str | None = None
    item: str | None = None
    asset: str | None = None


def is_stac(name: str) -> bool:
    """Whether a scene's name is that of a STAC source: a JSON file, or the URL of one."""
    file = file_of(name)
    if kind_of(file) == "url":
        return extension_of(urlsplit(file).path) in _EXTENSIONS
    return kind_of(file) == "path" and extension_of(file) in _EXTENSIONS


def file_of(name: str) -> str:
    """The file or URL in a name, without what is picked out of it."""
    file, sign, picked = name.rpartition("#")
    return file if sign and "=" in picked and not Path(name).exists() else name


def stac_source(name: str) -> StacSource:
    """Reads a name, as in `catalog.json#collection=town&asset=visual`.

    Raises:
        DataError: What follows the `#` is not understood.
    """
    file = file_of(name)
    picked = parse_qsl(name[len(file) + 1 :], keep_blank_values=True)
    unknown = [key for key, value in picked if key not in _KEYS or not value]
    if unknown or len(dict(picked)) < len(picked):
        raise DataError(
            f"{shown(file)}: after the # stand {', '.join(_KEYS)}, each once and with a value, as "
            "in #collection=town&asset=visual"
        )
    return StacSource(file, **dict(picked))
