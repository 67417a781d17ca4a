"""`python -m benchmarks.gates DIR [ITERATIONS [SEEDS]]`: should a gate's block end in a ReLU?

Trains DRU(4) on the training images of CHASE_DB1 (DIR; subjects 9 and 10 left out, 9 scored),
once with the ReLU ahead of each gate and once without, from the same seed and the same crops.
"""

import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.config import TrainDrive
from pipelines.crops import FundusSource, band_statistics
from pipelines.fundus import fundus_samples
from pipelines.training import Objective, train


def main(folder: Path, iterations: int, seeds: int) -> None:
    """Prints the held-out scores of both, per seed."""
    samples = fundus_samples(folder, "train")
    sources = [FundusSource(s, (600, 1000)) for s in samples if s.name[6:8] not in ("09", "10")]
    held_out = [FundusSource(s, (600, 1000)) for s in samples if s.name[6:8] == "09"]
    mean, std = band_statistics(sources)
    table = Table("seed", "ReLU ahead of the gates", "F1", "break-even", box=None)
    for seed in range(seeds):
        settings = TrainDrive(crop_sizes=[192], batch_pixels=192**2 * 5, scorings=3, seed=seed)
        for gate_relu in (True, False):
            objective = Objective({"gate_relu": gate_relu}, iterations, 1.5, mean, std)
            with tempfile.TemporaryDirectory() as out:
                weights = [1.0] * len(sources)
                trained = train(settings, objective, sources, weights, held_out, Path(out))
            scores = trained.held_out.scores()
            table.add_row(
                str(seed), "yes" if gate_relu else "no",
                f"{scores.foreground.f1:.3f}", f"{scores.break_even.value:.3f}",
            )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 300,
        int(sys.argv[3]) if len(sys.argv) > 3 else 1,
    )
