"""`make demo`: draws a sample scene, finds its roads with the shipped weights, says how well."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from flows.command import OWN_ERRORS, run_directly, summary
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.inference.run import infer_roads
from pipelines.scores.scores import score_at

SCENE = Path("demo/scene.tif")
LABELS = Path("demo/labels")


def main() -> int:
    """Runs the demo in the current folder; returns the exit status."""
    argparse.ArgumentParser("python -m flows.demo", description=__doc__).parse_args()
    out, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True)
    start = time.perf_counter()
    out.print(f"Drawing a scene: {SCENE}")
    write_road_scene(SCENE, LABELS / SCENE.name, size=1500, seed=7)
    config = InferRoads(
        scenes=[str(SCENE)], labels=LABELS, output=Path("demo/out"), save_steps=True
    )
    try:
        result = run_directly(config, infer_roads, errors)
    except OWN_ERRORS as error:
        errors.print(f"error: {error}", markup=False)
        return 1
    out.print(summary(result))
    folder = config.output / SCENE.stem
    out.print(f"mask:        {folder / 'mask.tif'}")
    out.print(f"probability: {folder / 'probability.tif'}")
    out.print(f"report:      {result.folder / 'report.html'}")
    f1 = score_at(result.report.pooled, "foreground.f1")
    out.print(f"F1 {f1:.3f}, in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
