"""The order in which a network is cleaned, in the unit of the ground."""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.config.lines import LineSettings
from pipelines.lines.bridging import Bridging, Read, bridged
from tiling.lines.cleaning import merged, pruned, without_short_pieces
from tiling.lines.network import Network
from tiling.scenes.ground import PixelSize
from tiling.window import Window

_LEAST_TOLERANCE = 1.0

_LOWEST = 1 / 3
"""The lowest probability in a gap, as a share of the least mean."""

_CROSSING = 2.0
"""Loops shorter than so many spurs are around holes of a crossing."""


@dataclass(frozen=True)
class Rules:
    """What a network is cleaned by.

    Attributes:
        pixel: The size of a pixel; 1 by 1 where none is known, and all lengths are in pixels.
        tolerance: How far lines may be off.
        least_spur: Shorter spurs go.
        least_line: Shorter pieces go.
        bridging: Which gaps are bridged, in pixels.
    """

    pixel: PixelSize
    tolerance: float
    least_spur: float
    least_line: float
    bridging: Bridging

    @classmethod
    def of(cls, settings: LineSettings, pixel: PixelSize | None, threshold: int) -> "Rules":
        """The rules that settings stand for.

        Args:
            settings: In metres.
            pixel: Of the scene; None where nothing tells it.
            threshold: The lowest level that is in the mask.
        """
        pixel = pixel or PixelSize(1.0, 1.0)
        tolerance = settings.tolerance
        if tolerance is None:
            tolerance = max(_LEAST_TOLERANCE, pixel.side)
        return cls(
            pixel,
            tolerance,
            settings.least_spur,
            settings.least_line,
            Bridging(
                settings.longest_gap / pixel.side,
                settings.gap_probability,
                settings.gap_probability * _LOWEST,
                threshold,
            ),
        )


def cleaned(
    network: Network,
    rules: Rules,
    scene: Window,
    read: Read | None,
    progress: Callable[[int], None] = lambda ends: None,
) -> Network:
    """A network without what thinning adds and without short pieces, and with bridges.

    Args:
        network: As it was thinned.
        rules: What it is cleaned by.
        scene: All of its pixels.
        read: Reads the probabilities; None where there are none, and no gap is bridged.
        progress: Is told of each end that was looked at.
    """
    spur = rules.least_spur / rules.pixel.side
    # Bridges to short pieces would make roads of specks.
    network = without_short_pieces(_tidy(network, spur), rules.least_line / rules.pixel.side)
    if read is None:
        return network
    return _tidy(bridged(network, scene, read, rules.bridging, progress), spur)


def _tidy(network: Network, spur: float) -> Network:
    return pruned(merged(pruned(network, spur), _CROSSING * spur), spur)
