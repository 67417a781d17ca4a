"""What a network costs to run."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from rurnet.network import SegmentationNetwork


@torch.inference_mode()
def cost(network: SegmentationNetwork, size: int) -> tuple[float, float]:
    """Counts the multiply-adds of the first state and of one step.

    Args:
        network: It may be on the meta device; nothing is computed there.
        size: Side of the image in pixels.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, network.in_channels, size, size, device=device)
    with FlopCounterMode(display=False) as once:
        state = network.initial_state(image)
    with FlopCounterMode(display=False) as step:
        network.step(image, state)
    # The counter counts a multiply-add as two operations.
    return once.get_total_flops() / 2, step.get_total_flops() / 2
