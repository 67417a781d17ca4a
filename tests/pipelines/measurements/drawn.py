"""Lines whose measures are known, drawn as masks."""

from types import SimpleNamespace

import numpy as np

SIDE = 240


def bar(width, angle, length=160):
    """A straight line through the centre; the angle in degrees, clockwise from the right."""
    along, across = _turned(angle)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


def ray(width, angle, length=100):
    """A straight line that begins at the centre."""
    along, across = _turned(angle)
    return (along >= 0) & (along <= length) & (np.abs(across) <= width / 2)


def arc(radius, width, half):
    """Part of a circle around the centre, `half` degrees to each side."""
    rows, columns = _grid()
    angle = np.degrees(np.arctan2(rows, columns))
    on_ring = np.abs(np.hypot(rows, columns) - radius) <= width / 2
    return on_ring & (np.abs(angle) <= half)


def levels(pixels):
    """A raster of levels in memory [bands, h, w]."""
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    return SimpleNamespace(
        height=pixels.shape[1],
        width=pixels.shape[2],
        read=lambda window: pixels[:, *window.slices()],
    )


def _grid():
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return rows, columns


def _turned(angle):
    rows, columns = _grid()
    turn = np.radians(angle)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    return along, -columns * np.sin(turn) + rows * np.cos(turn)
