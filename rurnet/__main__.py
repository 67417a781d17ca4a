"""`python -m rurnet [NAME ...]`: prints the parameters, the cost and the speed of each network.

The cost is the number of multiply-adds in convolutions and matrix products for one image: those
computed once, plus those of each step. Figures from the papers stand beside ours. Speed is measured
on this machine.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from rurnet.cost import cost
from rurnet.network import SegmentationNetwork, parameter_count
from rurnet.registry import NETWORKS, create

PAPER_PARAMETERS = {
    "dru-4": "0.36 M",
    "dru-vgg16": "41.38 M",
    "deeplab-v3plus": "40 M",
    "refinenet": "118 M",
    "canvas": "42.5 M + ?",
}
"""From Wang et al., ICCV 2019. For `canvas`, McIntosh et al. give those of the features only."""

PAPER_COST = {"canvas": "54.4 + 6.6"}
"""From McIntosh et al., section 3 and Table 3: 513 px, 21 classes."""

SIZE = {"canvas": 513}
"""Side of the image in pixels, for networks whose paper gives the cost at another size than 512."""

TIMED = 256
"""Side in pixels of the image used to measure speed."""

HEADINGS = (
    "network", "steps", "parameters", "paper", "px", "G once + a step", "paper", "Mpx/s",
)  # fmt: skip
WIDTHS = (14, 5, 10, 10, 3, 15, 10, 5)


@torch.inference_mode()
def speed(network: SegmentationNetwork) -> float:
    """Returns megapixels per second with all steps, the best of three runs; on the GPU if any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device).eval().channels_last()
    image = torch.zeros(1, network.in_channels, TIMED, TIMED, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(4):  # The first run is a warm-up.
        start = time.perf_counter()
        network(image)[-1].sum().item()  # item() waits for the GPU.
        seconds.append(time.perf_counter() - start)
    return TIMED**2 / 1e6 / min(seconds[1:])


def rows(names: list[str]) -> Iterator[tuple[str, ...]]:
    """Yields one table row per network."""
    for name in names:
        with torch.device("meta"):
            network = create(name)
        size = SIZE.get(name, 512)
        once, step = cost(network, size)
        yield (
            name,
            str(network.steps),
            f"{parameter_count(network) / 1e6:.3f} M",
            PAPER_PARAMETERS.get(name, ""),
            str(size),
            (f"{once / 1e9:.2f} + " if once else "") + f"{step / 1e9:.2f}",
            PAPER_COST.get(name, ""),
            f"{speed(create(name)):.2f}",
        )


def main(called: str, words: Sequence[str]) -> None:
    """Prints the table row by row, each as soon as it is measured.

    Args:
        called: The command as typed, for its help and its errors.
        words: The arguments that follow it.
    """
    parser = argparse.ArgumentParser(called, description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args(words).names or list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        parser.error(f"unknown network {unknown[0]}; choose from {', '.join(NETWORKS)}")
    for row in (HEADINGS, *rows(names)):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True)).rstrip()
        )
    threads = torch.get_num_threads()
    device = "the GPU" if torch.cuda.is_available() else f"{threads} CPU thread{'s'[: threads > 1]}"
    print(
        f"\nG: thousand million multiply-adds. Mpx/s: an image of {TIMED} px, all steps, {device}."
    )


if __name__ == "__main__":
    main("python -m rurnet", sys.argv[1:])
