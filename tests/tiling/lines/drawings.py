"""Masks whose networks are known, and networks as what can be compared."""

import numpy as np

from tiling.lines.cleaning import merged, pruned
from tiling.lines.walk import walked


def blank(height=120, width=140):
    return np.zeros((height, width), bool)


def cross():
    """Two roads of 7 pixels that cross at row 60.5, column 70.5."""
    mask = blank()
    mask[57:64, 10:130] = True
    mask[10:110, 67:74] = True
    return mask


def forked():
    """A road of 5 pixels, and one that leaves it."""
    mask = blank()
    mask[50:55, 10:130] = True
    mask[55:110, 68:73] = True
    return mask


def ring():
    """A road of 6 pixels around a block."""
    mask = blank()
    mask[20:100, 20:120] = True
    mask[26:94, 26:114] = False
    return mask


def parallel():
    """Two roads, 3 pixels apart."""
    mask = blank()
    mask[50:56, 10:130] = True
    mask[59:65, 10:130] = True
    return mask


def wild(side=130, seed=3):
    """Many crooked roads."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 7)
    return np.abs(noise) < 0.25 * noise.std()


def network(mask, at_once=2048, values=None):
    """The network of a mask as it is thinned."""
    if values is None:
        values = np.where(mask, 254, 0).astype(np.uint8)[None]
    return walked(*mask.shape, lambda window: (mask[window.slices()], values[:, *window.slices()]),
                  at_once)  # fmt: skip


def tidy(mask, spur=8.0):
    """The network of a mask without spurs, its crossings merged."""
    return pruned(merged(pruned(network(mask), spur), 2 * spur), spur)


def degrees(network):
    return sorted(network.degree(node) for node in network.nodes)


def content(network):
    """All that a network holds."""
    nodes = sorted((cell, node.row, node.column, node.radius)
                   for cell, node in network.nodes.items())  # fmt: skip
    edges = [
        (edge.start, edge.end, edge.path.tolist(), edge.values.tolist())
        for edge in network.edges.values()
    ]
    return nodes, edges


def turned(mask):
    """The mask in its eight positions."""
    return [
        np.ascontiguousarray(np.rot90(one, turns))
        for one in (mask, mask[::-1])
        for turns in range(4)
    ]
