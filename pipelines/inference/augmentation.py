"""Test-time augmentation: the flips and quarter turns of a tile, and their inverses."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

View = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def _turns() -> Iterator[View]:
    """The eight flips and quarter turns of the last two dimensions, each with its inverse."""
    for flipped in (False, True):
        for quarter in range(4):

            def there(image: Tensor, quarter: int = quarter, flipped: bool = flipped) -> Tensor:
                turned = torch.rot90(image, quarter, (-2, -1))
                return turned.flip(-1) if flipped else turned

            def back(image: Tensor, quarter: int = quarter, flipped: bool = flipped) -> Tensor:
                return torch.rot90(image.flip(-1) if flipped else image, -quarter, (-2, -1))

            yield there, back


TURNS = list(_turns())
