"""Names of sources: local paths, globs, URLs and GDAL's own; what may be shown of them."""

import glob
import re
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import parse_qs, unquote

from tiling.dicom.names import parted, pseudonym_of

Kind = Literal["path", "glob", "url", "gdal"]
"""What a name is: of a local file or folder, a pattern of such, or of what GDAL has to fetch (a
URL), or to unpack or pick out of a file."""

_SCHEME = r"(?<![\w.+-])[A-Za-z][A-Za-z0-9+-]+://"
"""Of a URL, also inside of another name; `HDF5:f.h5://group` is none."""

_LOCAL_SCHEME = r"(?:vrt|file|zip|tar|gzip|zip\+file|tar\+file|gzip\+file)://"

_PREFIX = re.compile(r"(?:[A-Z][A-Z0-9_]+|netcdf|hdf5|gpkg|zarr):")
"""Of a raster inside a file: `GPKG:FILE:TABLE`, `NETCDF:"FILE":VARIABLE`, `GTIFF_DIR:2:FILE`."""

_USER = re.compile(rf"({_SCHEME})[^/\s\"']*@")

_QUERY = re.compile(rf"((?!{_LOCAL_SCHEME}){_SCHEME}[^\s\"'?#{{}}]*)[?#][^\s\"'{{}}]*")

_CURL = re.compile(r"(/vsicurl(?:_streaming)?)\?([^\s\"'{}]*)")
"""GDAL's other spelling of a URL, which is one of several parameters."""

_SECRET = re.compile(
    r"(?i)\b((?:\w*(?:password|passwd|pwd|token|secret|signature|api_?key|access_?key)|sig)=)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s&;,\"'{}]+)"
)

_INVALID = re.compile(r'[<>:"/\\|?*{}!\x00-\x1f\x7f]+')

_DOUBLE = ((".shp", ".zip"), (".osm", ".pbf"))

_LONGEST = 200
"""Bytes of a folder's name; file systems take 255."""


def kind_of(name: str) -> Kind:
    """Tells what a name is the name of. What is there under it as a file or folder is a path.

    Args:
        name: As it was typed.
    """
    if _exists(name):
        return "path"
    if re.match(r"[A-Za-z][A-Za-z0-9+-]+://", name):
        return "url"
    if name.startswith("/vsi"):
        return "gdal"
    pattern = glob.has_magic(name)
    if _PREFIX.match(name) and not (pattern and glob.glob(name)):
        return "gdal"
    return "glob" if pattern else "path"


def is_local(name: str) -> bool:
    """Whether a name is that of a local file, not of one that GDAL has to fetch or unpack."""
    return kind_of(name) in ("path", "glob")


def file_behind(name: str) -> str | None:
    """The local file that a name is read from, an archive for what lies in it; None without one."""
    name, _ = parted(name)
    if _is_file(name):
        return name
    if not name.startswith("/vsi"):
        return None
    inside = re.sub(r"^(/vsi[a-z0-9_]+/)+", "", name.replace("{", "").replace("}", ""))
    path = PurePosixPath(inside)
    whole = [str(one) for one in (path, *path.parents)]
    return next((one for one in reversed(whole) if _is_file(one)), None)


def without_secrets(text: str) -> str:
    """A text without what is secret in the URLs and connections that it holds.

    That is a URL's user and password, its query and fragment (signatures and tokens stand there),
    and the value of `password=`, `token=` and the like.
    """
    text = _CURL.sub(_curl, text)
    text = _USER.sub(r"\1", text)
    text = _QUERY.sub(r"\1", text)
    return _SECRET.sub(r"\1***", text)


def _curl(found: re.Match[str]) -> str:
    urls = parse_qs(found[2]).get("url", [""])
    return f"{found[1]}/{urls[0]}"


def shown(name: str | Path) -> str:
    """A name as logs, reports, manifests and messages may have it: without secrets.

    DICOM files have their pseudonym.
    """
    text = str(name)
    if (pseudonym := pseudonym_of(text)) is not None:
        return pseudonym
    return text if _exists(text) else without_secrets(text)


def extension_of(name: str) -> str:
    """The extension of a file's name in lower case: `.ppm.gz` and `.osm.pbf` are one each."""
    suffixes = [one.lower() for one in PurePosixPath(name).suffixes]
    double = suffixes[-1:] == [".gz"] or tuple(suffixes[-2:]) in _DOUBLE
    return "".join(suffixes[-2:] if double else suffixes[-1:])


def stem_of(name: str) -> str:
    """The name of a scene: that of its file, without the last suffix.

    What is picked out of a file has its own name too: `GPKG:city.gpkg:roads` is `city_roads`.
    No part is secret, and all are fit for the name of a file. DICOM files have their pseudonym.
    """
    if (pseudonym := pseudonym_of(name)) is not None:
        return pseudonym
    if is_local(name):
        file = PurePosixPath(name).name
        return file[: len(file) - len(extension_of(file))]
    clean = without_secrets(name)
    parts = _parts(clean)
    return fit_for_folder("_".join(part for part in parts if part))


def fit_for_folder(text: str) -> str:
    """A text as the name of a folder: without what would lead elsewhere, and not too long."""
    text = _INVALID.sub("_", text).encode()[:_LONGEST].decode(errors="ignore").rstrip(" .")
    return text or "scene"


def _parts(name: str) -> list[str]:
    """The stem of the file in a name that is not local, and what is picked out of it."""
    if name.lower().startswith("vrt://"):
        inner, _, query = name[len("vrt://") :].partition("?")
        options = parse_qs(query)
        picked = [*options.get("sd_name", ()), *options.get("sd", ())]
        return [stem_of(inner), *picked]
    prefix = _PREFIX.match(name)
    if prefix and not re.match(_SCHEME, name):
        return _picked(name[prefix.end() :])
    last = PurePosixPath(name.replace("!", "/").rstrip("/}"))
    return [PurePosixPath(unquote(last.name)).stem if "://" in name else last.stem]


def _picked(rest: str) -> list[str]:
    """The stem of the file and the other parts of a name in GDAL's form, without its prefix."""
    quoted = re.search(r'"([^"]*)"', rest)
    if quoted:
        file, others = quoted[1], (rest[: quoted.start()] + rest[quoted.end() :]).split(":")
    else:
        # A colon of a URL divides nothing.
        others = re.split(r"(?<!http)(?<!https)(?<!ftp)(?<!s3)(?<!gs):(?!\d+/)", rest)
        file = next((one for one in others if "." in one or "/" in one), others[0])
        others.remove(file)
    path = PurePosixPath(file.rstrip("/}"))
    return [path.stem, *(one.strip("/ ") for one in others)]


def _exists(name: str) -> bool:
    # A signed URL is longer than a file's name may be, and pathlib raises that.
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
