"""`python -m benchmarks.scales FOLDER --scales 0.5`: scores fundus images at other sizes.

Images of a fundus folder (CHASE_DB1, HRF, DRIVE) are resized by each factor, as if taken by a
camera of another resolution, predicted at that size, and scored inside their field of view. Images
are resized with a Lanczos filter. In labels and masks of the field of view a pixel is set if at
least half of its area was.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from pipelines.config.inference import InferDrive
from pipelines.datasets.fundus import fundus_samples
from pipelines.inference.run import infer_drive
from pipelines.inputs.field_masks import read_field
from pipelines.inputs.fundus import FundusSample
from pipelines.results.progress import Silence
from pipelines.scores.scores import score_at


def write_scaled(sample: FundusSample, scale: float, folder: Path) -> None:
    """Writes a resized image with its label and field of view, in the layout of HRF."""
    with Image.open(sample.image) as image:
        pixels = image.convert("RGB")
    size = round(pixels.width * scale), round(pixels.height * scale)
    _save(pixels.resize(size, Image.Resampling.LANCZOS), folder / "images" / f"{sample.name}.png")
    for path, name in (
        (sample.label, f"manual1/{sample.name}.png"),
        (sample.field, f"mask/{sample.name}_mask.png"),
    ):
        if path is not None:
            whole = Image.fromarray(read_field(path, (pixels.height, pixels.width)).mask).convert(
                "L"
            )
            shares = whole.resize(size, Image.Resampling.BOX)
            _save(shares.point(lambda share: 255 * (share >= 128)), folder / name)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    image.save(path)


def compared(samples: Sequence[FundusSample], scales: Sequence[float], model: str) -> Table:
    """Predicts and scores at each scale; returns a table with a row for each."""
    table = Table("scale", "pixels", "F1", "break-even", "mIoU", "F1 by image", box=None)
    for scale in scales:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for sample in samples:
                write_scaled(sample, scale, folder)
            config = InferDrive(
                scenes=[str(folder / "images")], labels=folder / "manual1", model=[model],
                output=folder / "out", topology=False,
            )  # fmt: skip
            report = infer_drive(config, Silence()).report
        scenes, pooled = report.scenes, report.pooled
        assert pooled is not None, "every image has a label"
        table.add_row(
            f"{scale:g}",
            f"{scenes[0].width} x {scenes[0].height}",
            f"{pooled.foreground.f1:.3f}",
            f"{pooled.break_even.value:.3f}",
            f"{pooled.class_mean.iou:.3f}",
            " ".join(f"{score_at(scene.scores, 'foreground.f1'):.3f}" for scene in scenes),
        )
    return table


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scales", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("data", type=Path, help="folder of CHASE_DB1, HRF or DRIVE")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--split", default="test", help="test or train")
    parser.add_argument("--images", nargs="+", help="names of images; by default all of the split")
    parser.add_argument("--model", default="vessels-dru4")
    given = parser.parse_args()
    samples = [
        sample
        for sample in fundus_samples(given.data, given.split)
        if given.images is None or sample.name in given.images
    ]
    console = Console(width=160)
    console.print(compared(samples, given.scales, given.model))
    console.print(f"{len(samples)} images of {given.data}, {given.model}")


if __name__ == "__main__":
    main()
