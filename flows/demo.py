"""`make demo`: draws a sample scene, finds its roads with the shipped weights, scores them."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from flows.cli.process import let_threads_wait_quietly
from flows.table import FLOWS

SCENE = Path("demo/scene.tif")
LABELS = Path("demo/labels")


def main(called: str, words: Sequence[str]) -> int:
    """Runs the demo in the current folder.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.

    Returns:
        The exit status.
    """
    argparse.ArgumentParser(called, description=__doc__).parse_args(words)
    let_threads_wait_quietly()
    from flows.cli.direct import OWN_ERRORS, run_directly
    from flows.cli.printed import score_table
    from pipelines.config.inference import InferRoads
    from pipelines.datasets.synthetic import write_road_scene
    from pipelines.scores.scores import score_at

    out, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True)
    start = time.perf_counter()
    out.print(f"Drawing a scene: {SCENE}")
    write_road_scene(SCENE, LABELS / SCENE.name, size=1500, seed=7)
    config = InferRoads(
        scenes=[str(SCENE)], labels=LABELS, output=Path("demo/out"), save_steps=True
    )
    try:
        result = run_directly(FLOWS["infer-roads"], config, errors)
    except OWN_ERRORS as error:
        errors.print(f"error: {error}", markup=False)
        return 1
    out.print(score_table(result.report))
    folder = config.output / SCENE.stem
    out.print(f"mask:        {folder / 'mask.tif'}")
    out.print(f"probability: {folder / 'probability.tif'}")
    out.print(f"report:      {result.folder / 'report.html'}")
    f1 = score_at(result.report.pooled, "foreground.f1")
    out.print(f"F1 {f1:.3f}, in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main("python -m flows.demo", sys.argv[1:]))
