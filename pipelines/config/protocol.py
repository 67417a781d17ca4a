"""Training protocols: ours, and that of the recurrent U-Net's authors.

`TrainingSettings.how` replaces a protocol's values by those that the user gives.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """The settings of a training, besides the data and the network.

    Attributes:
        iterations: Number of optimizer steps.
        batch_pixels: Number of pixels in a batch.
        crop_sizes: Sides of the crops in pixels; each batch takes one at random.
        foreground_weight: Weight of foreground pixels in the cross entropy.
        learning_rate: Highest learning rate of the schedule.
        optimizer: "adamw" warms up over a tenth of the iterations and then follows a cosine (one
            cycle, Smith and Topin 2018); gradients are clipped at norm 1. "sgd" has momentum 0.9
            and weight decay 5e-4; its rate is multiplied by 0.95 after each interval.
        decay_interval: Interval of "sgd", as a share of the iterations.
        ema: Decay of the running average of the weights. The average is scored and kept; 0 turns it
            off.
        damaged_starts: Share of samples that start from a damaged mask or one of another image.
        random_steps: Whether each iteration draws the number of steps at random, so that masks are
            good after one step and do not get worse after many. Otherwise it is always N.
        augmented: Whether light, colour and sharpness vary. Flips and turns are always on.
        restyled: Share of crops that look as another camera or region would show them.
        missing: Share of crops in which a rectangle is removed as if it were nodata.
        rescaled: Whether fundus images are resampled to one scale, around which crops vary.
        zoom: Largest factor by which crops are enlarged or reduced.
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
    restyled: float = 0.0
    missing: float = 0.1
    rescaled: bool = True
    zoom: float = 1.0


def papers(iterations: int, crop: int, batch: int) -> Protocol:
    """Returns the protocol in the public configuration of the recurrent U-Net's authors."""
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
