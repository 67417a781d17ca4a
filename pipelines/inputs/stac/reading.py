"""Reads the items of a STAC source, and the files that are their scenes."""

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pipelines.errors import DataError, first_few, shortened
from pipelines.inputs.s3.client import client, place_of, refusals_named
from pipelines.inputs.scene_input import StacItem
from pipelines.inputs.stac.choice import chosen_asset
from pipelines.inputs.stac.names import StacSource, stac_source
from tiling.errors import SceneError
from tiling.readers.sources import check_sources
from tiling.scenes.names import fit_for_folder, kind_of, shown

if TYPE_CHECKING:
    import pystac

_MOST_READ = 100_000
"""JSON files of a source: more are links in a circle."""

_LARGEST = 512 * 1024 * 1024
"""Bytes of a JSON file that are read from a URL."""

_PATIENCE_S = 60

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""Errors of pystac where a file is JSON, but not what it says; the last of links in a circle."""

_FETCHED = ("http", "https", "s3", "gs", "az", "ftp")
"""Schemes of the files that an item may name."""


@dataclass(frozen=True)
class FoundScene:
    """A scene that a STAC item names.

    Attributes:
        name: The item's id, fit for a folder.
        source: The file or URL; that of the item where there is an error.
        item: Where it comes from.
        error: Why there is none; None where there is one.
    """

    name: str
    source: str
    item: StacItem
    error: str | None = None


def stac_scenes(name: str) -> list[FoundScene]:
    """The scenes of a STAC source, an item each, in the order in which they stand there.

    Args:
        name: Of the source, as in `catalog.json#collection=town`.

    Raises:
        DataError: It cannot be read, is no STAC, or has no such collection or item.
        PipelineError: pystac is not installed.
    """
    source = stac_source(name)
    items = [one for one in _items(source) if source.item in (None, one.id)]
    if not items:
        which = f" of the id {source.item}" if source.item else ""
        raise DataError(
            f"{shown(source.file)}: no item{which} in it; check what stands after the #, or "
            "whether the search found any"
        )
    return [_scene_of(one, source) for one in items]


def _scene_of(item: "pystac.Item", source: StacSource) -> FoundScene:
    """The scene of an item; what is wrong with it is an error of this scene."""
    own = item.get_self_href() or source.file
    taken = item.datetime or item.common_metadata.start_datetime
    told = taken.isoformat() if taken else None
    origin = StacItem(item.id, shown(own), item.collection_id, told)
    name = fit_for_folder(item.id)
    try:
        href = chosen_asset(item, source.asset).href
        return FoundScene(name, _readable(href, own, item.id), origin)
    except DataError as error:
        return FoundScene(name, own, origin, str(error))


def _readable(href: str, own: str, item: str) -> str:
    """The name under which a file is read that an item names, relative to the item's own file.

    Raises:
        DataError: It is none of a file or URL: GDAL takes names that open anything.
    """
    from pystac.utils import make_absolute_href

    kind, scheme = kind_of(href), href.partition("://")[0].lower()
    if kind == "url" and scheme == "file":
        return unquote(urlsplit(href).path)
    if kind == "url" and scheme in _FETCHED:
        return href
    if kind in ("path", "glob"):
        # Who downloads what a search found may write whole paths, and leave the link to the API.
        if Path(href).is_absolute() and Path(href).exists():
            return href
        found = str(make_absolute_href(href, own))
        # Hrefs are URIs by STAC, in which a space is %20; many programs write it as it is.
        return found if kind_of(found) == "url" or Path(found).exists() else _decoded(found)
    raise DataError(
        f"{item}: this STAC item names {shown(href)}, which is neither a file nor a URL of "
        f"{', '.join(_FETCHED)}; if you trust it, give that name as a scene itself"
    )


def _decoded(path: str) -> str:
    """A path with what stands for its %20 and the like, if that is there."""
    decoded = unquote(path)
    return decoded if Path(decoded).exists() else path


def _items(source: StacSource) -> "Iterator[pystac.Item]":
    """All items of a source, or those of one collection."""
    pystac = _pystac()
    reader = _reader()
    try:
        contents = reader.read_json(_location(source.file))
        if contents.get("type") == "FeatureCollection":
            features = contents.get("features") or []
            items = [pystac.Item.from_dict(_with_links(each)) for each in features]
            yield from _of_collection(items, source)
            return
        found = reader.stac_object_from_dict(contents, href=_location(source.file))
        found.set_self_href(_location(source.file))
        if isinstance(found, pystac.Item):
            yield from _of_collection([found], source)
            return
        yield from _collection(found, source, pystac).get_items(recursive=True)
    except DataError:
        raise
    except SceneError as error:
        raise DataError(str(error)) from error
    except FileNotFoundError as error:
        raise DataError(
            f"{shown(str(error.filename or source.file))}: no such file, and {shown(source.file)} "
            "leads there; check the path and the links"
        ) from error
    except (pystac.STACError, pystac.STACTypeError, *_UNREADABLE) as error:
        raise DataError(
            f"{shown(source.file)}: cannot be read as STAC ({shortened(error)}); give a catalogue, "
            "a collection, an item, or the items that a search has found, saved as JSON"
        ) from error


def _with_links(feature: dict[str, Any]) -> dict[str, Any]:
    """An item with what pystac needs, though a search may leave it out."""
    return {"links": [], "assets": {}, **feature}


def _of_collection(items: "list[pystac.Item]", source: StacSource) -> "list[pystac.Item]":
    """Those items that say they are of the collection that is wanted."""
    if source.collection is None:
        return items
    kept = [one for one in items if one.collection_id == source.collection]
    if not kept:
        _no_collection(source, {str(one.collection_id) for one in items})
    return kept


def _collection(found: Any, source: StacSource, pystac: Any) -> Any:
    """The catalogue itself, or the collection in it that is wanted."""
    if source.collection in (None, found.id):
        return found
    inside = [
        child
        for root, _, _ in found.walk()
        for child in root.get_children()
        if isinstance(child, pystac.Collection)
    ]
    for child in inside:
        if child.id == source.collection:
            return child
    return _no_collection(source, {child.id for child in inside})


def _no_collection(source: StacSource, there: set[str]) -> Any:
    raise DataError(
        f"{shown(source.file)}: no collection {source.collection} in it, but "
        f"{first_few(sorted(there)) or 'none at all'}; give one of them after #collection="
    )


def _location(file: str) -> str:
    """A file with its whole path: what it names is relative to its folder."""
    return file if kind_of(file) == "url" else str(Path(file).absolute())


def _pystac() -> Any:
    try:
        import pystac
    except ImportError as error:
        raise DataError(
            "STAC needs pystac: pip install 'rurnet[stac]', or give the scenes themselves"
        ) from error
    return pystac


def _reader() -> Any:
    """What reads JSON for pystac: only what may be read, and no more than makes sense."""
    from pystac.stac_io import DefaultStacIO

    read = 0

    class Reader(DefaultStacIO):
        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            nonlocal read
            read += 1
            name = str(source)
            if read > _MOST_READ:
                raise DataError(
                    f"{shown(name)}: is the {read}th file that is read; its catalogue leads in a "
                    "circle: give a collection or item of it"
                )
            check_sources(name)
            return _fetched(name) if kind_of(name) == "url" else _text(Path(name))

    return Reader()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _fetched(url: str) -> str:
    if (place := place_of(url)) is not None:
        store = client()
        with refusals_named(place, "check the name, the AWS_ variables and your rights there"):
            body = store.get_object(Bucket=place.bucket, Key=place.key)["Body"]
            return str(body.read(_LARGEST).decode("utf-8-sig"))
    if not re.match(r"https?://", url):
        raise DataError(
            f"{shown(url)}: JSON is read from files, S3, http and https only; copy it to this "
            "machine"
        )
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
        text: bytes = answer.read(_LARGEST)
    return text.decode("utf-8-sig")
