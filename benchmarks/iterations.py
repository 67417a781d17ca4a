"""One training iteration, for the benchmarks that measure it. Imports no more than torch."""

from collections.abc import Callable

import torch
from torch import Tensor

from rurnet.loss import multi_step_loss
from rurnet.network import SegmentationNetwork

Batch = dict[str, Tensor]
"""The image [B, C, h, w] and the label [B, 1, h, w], in integers."""


def iteration(
    network: SegmentationNetwork,
    device: torch.device,
    layout: torch.memory_format,
    *,
    mixed: bool,
) -> Callable[[Batch], None]:
    """Returns a function that runs one training iteration on a batch: forward, backward, optimizer.

    Args:
        network: It is moved to the device.
        device: Where it is trained.
        layout: How network and images lie in memory.
        mixed: Whether in bf16, else in 32 bits.
    """
    network = network.to(device).laid_out(layout)
    optimizer = torch.optim.AdamW(network.parameters())

    def run(batch: Batch) -> None:
        moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        image = moved["image"].contiguous(memory_format=layout)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            loss = multi_step_loss(network(image), moved["label"][:, 0])
        torch.autograd.backward(loss)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run
