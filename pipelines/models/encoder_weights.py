"""Tensors of an encoder that others trained, from a file or a URL.

Downloads lie where torchvision's do, so that each finds what the other has downloaded. No pickle
that runs code is read.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.errors import WeightsError, shortened

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""torchvision's habit: `vgg16-397923af.pth` begins its SHA-256 with these digits."""


_NESTS = ("state_dict", "model")
"""Keys under which training programs keep the tensors, beside an optimizer's state and others."""


def read_encoder_weights(source: str, sha256: str | None = None) -> dict[str, Tensor]:
    """Reads tensors, by the names they have in torchvision.

    A download is kept in `checkpoints` of torch's cache (`TORCH_HOME`) and not repeated; it appears
    there whole and readable, or not at all.

    Args:
        source: A `.pth`, `.pt` or `.safetensors` file, or its http or https URL.
        sha256: SHA-256 of the file, 64 hexadecimal digits. Without it, a URL whose name carries
            digits of it (`resnet50-0676ba61.pth`) is held to those.

    Returns:
        The tensors, on the CPU.

    Raises:
        WeightsError: Nothing there, another SHA-256, damaged, or more than tensors.
    """
    if urlsplit(source).scheme in ("http", "https"):
        return _from_url(source, sha256)
    path = Path(source).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{source}: no such file; give a .pth, .pt or .safetensors file of an encoder's "
            "weights, or its http or https URL"
        )
    return _read(path, source, sha256, "give another .pth, .pt or .safetensors file")


def file_name(source: str) -> str:
    """The last part of a path or of a URL, without a query; empty where it names no file."""
    return Path(urlsplit(source).path).name


def _from_url(url: str, sha256: str | None) -> dict[str, Tensor]:
    name = file_name(url)
    if not name:
        raise WeightsError(f"{url}: names no file; give the URL of a .pth or .safetensors file")
    promised = _HASH_IN_NAME.search(name)
    expected = sha256 or (promised and promised[1])
    if not promised:
        # Many a URL ends in model.safetensors: one must not be taken for another.
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    kept = Path(torch.hub.get_dir()) / "checkpoints" / name
    if kept.is_file():
        source = f"{kept}, downloaded earlier from {url}"
        return _read(kept, source, expected, "delete it to download it again")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=kept.parent, prefix=f".{name}.") as folder:
            fresh = Path(folder) / name
            torch.hub.download_url_to_file(url, str(fresh), progress=sys.stderr.isatty())
            # Read first: torch takes a connection that breaks off for the end of the file.
            tensors = _read(fresh, url, expected, "try once more or give another URL")
            fresh.replace(kept)
    except WeightsError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise WeightsError(
            f"{url}: cannot be downloaded to {kept.parent} ({shortened(error)}); check address "
            "and connection, or download it by other means and give the file"
        ) from error
    return tensors


def _read(path: Path, source: str, expected: str | None, advice: str) -> dict[str, Tensor]:
    """The tensors of a file that has the first digits, or all, of the expected SHA-256."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{source}: cannot be read ({shortened(error)}); {advice}") from error
    if expected is not None and not found.startswith(expected.lower()):
        raise WeightsError(
            f"{source}: its SHA-256 is {found}, not {expected.lower()}; {advice}, or give this "
            "SHA-256 if the file is the right one"
        )
    try:
        content = _content(path)
    # What is no file of torch's, torch finds out in many ways: OSError, EOFError, KeyError.
    except Exception as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise WeightsError(
                f"{source}: more than tensors, reading it would run code ({code[1]}); where you "
                "trust it, save its tensors alone: torch.save(model.state_dict(), PATH)"
            ) from error
        raise WeightsError(
            f"{source}: not a file of tensors, or a damaged one; {advice}"
        ) from error
    return _tensors_of(content, source)


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _tensors_of(content: Any, source: str) -> dict[str, Tensor]:
    """The tensors of a state dict, or of what a training program or a parallel network made."""
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    entries = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(key): value for key, value in entries if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{source}: no tensors by name in it; give a network's state dict")
    if all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors
