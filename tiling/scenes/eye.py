"""What a file says of the eye that it shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Eye:
    """What a file says of the eye that it shows.

    Attributes:
        laterality: "R" right, "L" left, "B" both; None where it says nothing.
        micrometres: Height and width of a pixel on the retina; None where it says nothing.
        burned_in: Whether there is text in the picture that may tell whose it is.
    """

    laterality: str | None = None
    micrometres: tuple[float, float] | None = None
    burned_in: bool = False
