"""Reads the tensors of a pretrained encoder from a file or a URL.

Downloads are kept in the same folder as torchvision's, so both find each other's files. Pickles
that would run code are refused.
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
from tiling.scenes.names import without_secrets

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""The start of the SHA-256 in a file name, as torchvision writes it: `vgg16-397923af.pth`."""


_NESTS = ("state_dict", "model")
"""Keys under which training programs store the tensors, next to the optimizer's state."""


def read_encoder_weights(source: str, sha256: str | None = None) -> dict[str, Tensor]:
    """Reads the tensors of an encoder.

    A URL is downloaded once, into the folder `checkpoints` of torch's cache (`TORCH_HOME`). The
    file appears there only when it is complete and readable.

    Args:
        source: A `.pth`, `.pt` or `.safetensors` file, or its http or https URL.
        sha256: SHA-256 of the file, 64 hexadecimal digits. If it is None and the URL's file name
            contains digits of it (`resnet50-0676ba61.pth`), these are checked.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        WeightsError: The file is not there, has another SHA-256, is damaged, or contains code.
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
    """Returns the last part of a path or a URL, without a query; empty if it names no file."""
    return Path(urlsplit(source).path).name


def _from_url(url: str, sha256: str | None) -> dict[str, Tensor]:
    name, told = file_name(url), without_secrets(url)
    if not name:
        raise WeightsError(f"{told}: names no file; give the URL of a .pth or .safetensors file")
    promised = _HASH_IN_NAME.search(name)
    expected = sha256 or (promised and promised[1])
    if not promised:
        # Many URLs end in model.safetensors: their files need different names.
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    kept = Path(torch.hub.get_dir()) / "checkpoints" / name
    if kept.is_file():
        source = f"{kept}, downloaded earlier from {told}"
        return _read(kept, source, expected, "delete it to download it again")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=kept.parent, prefix=f".{name}.") as folder:
            fresh = Path(folder) / name
            torch.hub.download_url_to_file(url, str(fresh), progress=sys.stderr.isatty())
            # Check before keeping: torch takes a broken connection for the end of the file.
            tensors = _read(fresh, told, expected, "try again or give another URL")
            fresh.replace(kept)
    except WeightsError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise WeightsError(
            f"{told}: cannot be downloaded to {kept.parent} ({shortened(error)}); check the "
            "address and the connection, or download it yourself and give the file"
        ) from error
    return tensors


def _read(path: Path, source: str, expected: str | None, advice: str) -> dict[str, Tensor]:
    """Reads a file's tensors after comparing its SHA-256 with the expected digits, if any."""
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
    # For other files torch raises many kinds of errors: OSError, EOFError, KeyError.
    except Exception as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise WeightsError(
                f"{source}: contains more than tensors; reading it would run code ({code[1]}); if "
                "you trust it, save only its tensors: torch.save(model.state_dict(), PATH)"
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
    """Finds the tensors in a state dict, or in one nested by a training program."""
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
