"""`python -m benchmarks.cameras CHASE_DB1 HRF --output DIR`: held-out fundi as if of other cameras.

Writes the images that `vessels-dru4` held out (but 01_dr) five times, each into its own folder
`DIR/<camera>` with `images` and `labels`: as they are, small, dark and red, pale and blurred,
sharpened with noise. `rurnet infer-drive DIR/<camera>/images --labels DIR/<camera>/labels` scores
weights on them. These are no other cameras, but what is lost here is lost there too.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

HELD_OUT = ("Image_05L", "Image_05R", "Image_07L", "Image_07R", "01_h", "02_dr", "04_g", "04_h")
_DARK = 12
"""What is darker than this in all bands is outside of the field of view."""


@dataclass(frozen=True)
class Camera:
    """How an image is changed.

    Attributes:
        side: Longer side in pixels; None for its own.
        gain: Factor of each band.
        gamma: Exponent of all bands.
        contrast: Factor of the distance from each band's mean.
        blur: Of a Gaussian, in pixels.
        noise: Standard deviation of the noise that is added after sharpening; 0 for neither.
    """

    side: int | None = None
    gain: tuple[float, float, float] = (1, 1, 1)
    gamma: float = 1
    contrast: float = 1
    blur: float = 0
    noise: float = 0


CAMERAS = {
    "plain": Camera(),
    "small": Camera(side=660),
    "red-dark": Camera(gain=(0.85, 0.55, 0.4), gamma=1.2),
    "pale-blur": Camera(side=1500, gain=(1.1, 1.25, 1.5), contrast=0.6, blur=1.2),
    "sharp-green": Camera(side=900, gain=(0.7, 1, 0.7), gamma=0.8, noise=5),
}


def taken(
    image: Image.Image, label: Image.Image, camera: Camera, random: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Image and label as a camera would have taken them."""
    label = label.point(lambda value: 255 * (value > 127))
    if camera.side is not None:
        scale = camera.side / max(image.size)
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.LANCZOS)
        label = label.resize(size, Image.Resampling.BOX).point(lambda value: 255 * (value > 127))
    if camera.blur:
        image = image.filter(ImageFilter.GaussianBlur(camera.blur))
    if camera.noise:
        image = image.filter(ImageFilter.UnsharpMask(2, 120, 0))
    pixels = np.asarray(image).astype(np.float32)
    outside = pixels.max(axis=2) < _DARK
    mean = pixels[~outside].mean(axis=0)
    pixels = (mean + camera.contrast * (pixels - mean)) * np.array(camera.gain, np.float32)
    pixels = 255 * (np.clip(pixels, 0, 255) / 255) ** camera.gamma
    pixels = np.clip(pixels + random.normal(0, camera.noise, pixels.shape), 0, 255)
    pixels[outside] = np.minimum(pixels[outside], 4)
    return Image.fromarray(np.rint(pixels).astype(np.uint8)), label


def _held_out(chase: Path, hrf: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, image and label of each."""
    for name in HELD_OUT:
        images, labels = (chase, chase) if name.startswith("Image") else (hrf / "images", None)
        (image,) = (p for p in images.iterdir() if p.stem == name and p.suffix.lower() != ".png")
        if labels is None:
            (label,) = (hrf / "manual1").glob(f"{name}.*")
        else:
            label = labels / f"{name}_1stHO.png"
        yield name, image, label


def main() -> None:
    """Reads the command line and writes the folders."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.cameras", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("chase", type=Path)
    parser.add_argument("hrf", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/cameras"))
    options = parser.parse_args()
    random = np.random.default_rng(5)
    for kind, camera in CAMERAS.items():
        folder = options.output / kind
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, image_path, label_path in _held_out(options.chase, options.hrf):
            with Image.open(image_path) as image, Image.open(label_path) as label:
                pair = taken(image.convert("RGB"), label.convert("L"), camera, random)
            for part, picture in zip(("images", "labels"), pair, strict=True):
                picture.save(folder / part / f"{name}.png")


if __name__ == "__main__":
    main()
