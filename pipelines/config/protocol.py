"""How a network is trained: our way, and that of the recurrent U-Net's authors.

`TrainingSettings.how` puts what a user sets in place of a protocol's values.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """What a training depends on besides the data and the network.

    Attributes:
        iterations: Optimizer steps.
        batch_pixels: Pixels of a batch.
        crop_sizes: Sides of the crops in pixels; every batch draws one.
        foreground_weight: Of foreground pixels in the cross entropy.
        learning_rate: The highest.
        optimizer: "adamw" warms up over a tenth of the iterations and comes down on a cosine
            (one cycle, Smith and Topin 2018), with gradients clipped at norm 1; "sgd" has momentum
            0.9, weight decay 5e-4, and keeps 95 % of its rate at the end of each interval.
        decay_interval: Of "sgd", as a share of the iterations.
        ema: Decay of the running average of the weights, which is what is scored and kept; 0 keeps
            the weights as they are.
        damaged_starts: Share of the samples that start from a damaged or foreign mask.
        random_steps: Whether the number of steps is drawn anew in each iteration, so that a mask is
            good after one step and does not get worse after many; else it is always N.
        augmented: Whether light, colour and sharpness change; flips and turns are always there.
        missing: Share of the crops out of which a rectangle is taken, as nodata does.
        rescaled: Whether fundi are brought to one scale, and crops vary around it.
    """

    iterations: int
    foreground_weight: float | Literal["median"]
    batch_pixels: int = 131_072
    crop_sizes: tuple[int, ...] = (256, 256, 384)
    learning_rate: float = 4e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"
    decay_interval: float = 180 / 12_000
    ema: float = 0.999
    damaged_starts: float = 0.25
    random_steps: bool = True
    augmented: bool = True
    missing: float = 0.1
    rescaled: bool = True


def papers(iterations: int, crop: int, batch: int) -> Protocol:
    """The protocol of the recurrent U-Net's public configuration."""
    return Protocol(
        iterations=iterations,
        foreground_weight=1.0,
        batch_pixels=batch * crop**2,
        crop_sizes=(crop,),
        learning_rate=1e-3,
        optimizer="sgd",
        ema=0.0,
        damaged_starts=0.0,
        random_steps=False,
        augmented=False,
        missing=0.0,
        rescaled=False,
    )
