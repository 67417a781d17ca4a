"""`python -m pipelines.export WEIGHTS NAME`: writes a network for other programs."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.export.bundle import SUFFIX as BUNDLE
from pipelines.export.bundle import export_bundle
from pipelines.export.check import SIDE
from pipelines.export.onnx_file import SUFFIX as ONNX
from pipelines.export.onnx_file import export_onnx
from pipelines.export.program_file import SUFFIX as PROGRAM
from pipelines.export.program_file import export_program
from pipelines.models.weights import load
from rurnet.errors import RurnetError

_FORMS: dict[str, Callable[..., float | None]] = {
    ONNX: export_onnx,
    PROGRAM: export_program,
    BUNDLE: export_bundle,
}
"""What writes each form, by the end of the name."""


def main(called: str, words: Sequence[str]) -> None:
    """Reads the command line and writes the file or folder.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    parser = argparse.ArgumentParser(
        called,
        description="Write a network and its weights for other programs: NAME.onnx for those "
        "without torch, NAME.pt2 for torch.export.load, NAME.bundle for monai.bundle run.",
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="name of shipped weights (roads-dru4), or a weights file"
    )
    parser.add_argument("file", metavar="NAME", type=Path, help="file or folder to write: "
                        "its name ends in .onnx, .pt2 or .bundle")  # fmt: skip
    parser.add_argument(
        "--steps", type=int, help="number of recurrent steps; by default as in training"
    )
    arguments = parser.parse_args(words)
    path: Path = arguments.file
    # They log hints on optional packages and on nodes that stay unsimplified.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if path.suffix not in _FORMS:
            raise PipelineError(f"{path}: give a name that ends in .onnx, .pt2 or .bundle")
        difference = _FORMS[path.suffix](load(arguments.weights), path, steps=arguments.steps)
    except (PipelineError, RurnetError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    size = sum(each.stat().st_size for each in (path, *path.rglob("*")) if each.is_file())
    print(f"{path}: {size / 1e6:.1f} MB; {_compared(difference)}")


def _compared(difference: float | None) -> str:
    if difference is None:
        return "not compared with our own probabilities: pip install onnxruntime to do so"
    return (
        f"its probabilities differ from ours by at most {difference:.1e} on a drawn tile of "
        f"{SIDE} x {SIDE} pixels"
    )


if __name__ == "__main__":
    main("python -m pipelines.export", sys.argv[1:])
