"""Test-time augmentation: the flips and quarter turns of a tile, and their inverses."""

from collections.abc import Callable, Iterator

from pipelines.backends.arrays import Array, namespace

View = tuple[Callable[[Array], Array], Callable[[Array], Array]]


def _turns() -> Iterator[View]:
    """The eight flips and quarter turns of the last two dimensions, each with its inverse."""
    for flipped in (False, True):
        for quarter in range(4):

            def there(image: Array, quarter: int = quarter, flipped: bool = flipped) -> Array:
                turned = _turned(image, quarter)
                return _mirrored(turned) if flipped else turned

            def back(image: Array, quarter: int = quarter, flipped: bool = flipped) -> Array:
                return _turned(_mirrored(image) if flipped else image, -quarter % 4)

            yield there, back


def _turned(image: Array, quarter: int) -> Array:
    """The image after so many quarter turns against the clock, from 0 to 3."""
    if quarter == 2:
        return namespace(image).flip(image, axis=(-2, -1))
    if not quarter:
        return image
    return namespace(image).flip(image.mT, axis=-2 if quarter == 1 else -1)


def _mirrored(image: Array) -> Array:
    return namespace(image).flip(image, axis=-1)


TURNS = list(_turns())
