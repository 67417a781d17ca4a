"""Hashes of what was read of a scene, by which a later run tells what has changed."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TILE_DIGEST = 8
"""Bytes of a tile's digest."""

TAKEN, REFINED, COLD = range(3)
"""A tile was taken over from an earlier result, started from its mask, or knew nothing of it."""


@dataclass(frozen=True)
class Digests:
    """What was read of a part.

    Attributes:
        part: Hash of its pixels and of which of them are there: SHA-256, hexadecimal.
        tiles: Those of its tiles, row by row, `TILE_DIGEST` bytes each; empty where not known.
        ways: How each of its tiles was done: `TAKEN`, `REFINED` or `COLD`.
    """

    part: str
    tiles: bytes = b""
    ways: bytes = b""


def tile_digest(pixels: NDArray[Any], valid: NDArray[np.bool_]) -> bytes:
    """A hash of a tile's pixels [bands, h, w] that are there [h, w]; of `TILE_DIGEST` bytes."""
    known = pixels if valid.all() else np.where(valid, pixels, 0).astype(pixels.dtype)
    digest = hashlib.blake2b(np.ascontiguousarray(known).data, digest_size=TILE_DIGEST)
    digest.update(np.packbits(valid).data)
    return digest.digest()
