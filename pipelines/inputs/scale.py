"""The scale at which a network sees a scene: how many pixels it has for each of the scene's."""

from pipelines.errors import DataError
from tiling.scenes.eye import Eye
from tiling.scenes.ground import SAME_SCALE, PixelSize, pixel_size
from tiling.scenes.resample import ResampledScene
from tiling.scenes.scene import Scene

MOST_SCALED = 8
"""How many times as many, or as few, pixels a side may get before it has to be asked for."""


def at_gsd(scene: Scene, gsd: float, told: float | None, *, wanted: bool, any_scale: bool) -> Scene:
    """The scene at a ground sampling distance, down and across.

    Args:
        scene: As it is.
        gsd: Metres per pixel at which the network sees it.
        told: See `pixel_size`.
        wanted: Whether a scene whose pixels have no size in metres is an error; else it is left
            as it is.
        any_scale: Whether it may be scaled by more than `MOST_SCALED`.

    Raises:
        DataError: Its pixels have no size, or another one than anybody can mean.
    """
    pixel = pixel_size(scene, told)
    if pixel is None:
        if wanted:
            raise DataError(
                f"{scene.name}: its pixels have no size in metres, so --gsd means nothing; tell "
                "it with --pixel-size, or leave --gsd out"
            )
        return scene
    down, across = pixel.height / gsd, pixel.width / gsd
    if not any_scale:
        _check_scale(scene, pixel, gsd, max(down, across, 1 / down, 1 / across))
    return at_scale(scene, down, across)


def at_scale(scene: Scene, down: float, across: float) -> Scene:
    """The scene with so many times as many rows and columns; about 1 leaves them as they are."""
    if _is_one(down) and _is_one(across):
        return scene
    height, width = (
        length if _is_one(scale) else max(1, round(length * scale))
        for length, scale in ((scene.height, down), (scene.width, across))
    )
    return ResampledScene(scene, height, width)


def remarks_on_scale(scene: Scene, told: float | None, gsd: float | None) -> tuple[str, ...]:
    """Returns what a person should know of the size of a scene's pixels: at most one line.

    Args:
        scene: As it is.
        told: See `pixel_size`.
        gsd: Metres per pixel at which the network sees scenes; None for their own.
    """
    measured = pixel_size(scene)
    if told is not None:
        counts = PixelSize(told, told)
        if measured is None or measured.agrees(counts):
            return ()
        return (
            f"{scene.name}: by its coordinates a pixel is {measured}; the {counts} of "
            "--pixel-size count",
        )
    if measured is not None or gsd is None:
        return ()
    return (
        f"{scene.name}: its pixels have no size in metres, so the network sees it as it is, not "
        f"at {gsd:g} m per pixel; tell the size with --pixel-size",
    )


def on_retina(name: str, eye: Eye, told: float | None) -> tuple[float | None, tuple[str, ...]]:
    """The side of a fundus's pixel on the retina, and what a person should know of it.

    Args:
        name: Of the image.
        eye: What its file says.
        told: Micrometres, where somebody has told them: they count.

    Returns:
        Micrometres, None where nothing tells them; and at most one line.
    """
    if told is not None or eye.micrometres is None:
        return told, ()
    height, width = eye.micrometres
    if abs(height - width) > SAME_SCALE * width:
        return None, (
            f"{name}: its pixels are {height:g} by {width:g} micrometres, so that lengths are "
            "measured in pixels only; make them square, or tell infer_drive "
            "--micrometres-per-pixel",
        )
    return (height * width) ** 0.5, ()


def _is_one(scale: float) -> bool:
    return abs(scale - 1) < SAME_SCALE


def _check_scale(scene: Scene, pixel: PixelSize, gsd: float, factor: float) -> None:
    if factor > MOST_SCALED:
        raise DataError(
            f"{scene.name}: a pixel is {pixel}, but the network sees {gsd:g} m per pixel, which "
            f"is a factor of {factor:.3g}; check its CRS and transform, or give infer_roads "
            f"--pixel-size, --gsd, or --any-scale, which goes beyond a factor of {MOST_SCALED}"
        )
