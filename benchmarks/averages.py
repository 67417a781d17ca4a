"""`python -m benchmarks.averages WEIGHTS OTHER --shares 0.3 0.7 --output DIR`: their averages.

Writes `average-0.3.safetensors` and so on: tensors are (1 - share) times those of WEIGHTS plus
share times those of OTHER, which was trained from them (Wortsman et al., Robust fine-tuning of
zero-shot models, CVPR 2022). All else is that of OTHER; scores are those before the average.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from pipelines.models.weights import Model, load, save


def averaged(first: Model, other: Model, share: float) -> Model:
    """The average of two weights of one network, of which the second has the share."""
    if (first.card.mean, first.card.std) != (other.card.mean, other.card.std):
        raise SystemExit(f"{other.name} sees images on another scale: train it from {first.name}")
    tensors = other.network.state_dict()
    for name, value in first.network.state_dict().items():
        if value.is_floating_point():
            tensors[name] = torch.lerp(value, tensors[name], share)
    other.network.load_state_dict(tensors)
    noted = {"with": first.name, "sha256": first.digest, "share": share}
    card = replace(other.card, training={**other.card.training, "averaged": noted})
    return replace(other, card=card)


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.averages", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("weights")
    parser.add_argument("other")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 0.75])
    parser.add_argument("--output", type=Path, default=Path("averages"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    for share in given.shares:
        made = averaged(load(given.weights), load(given.other), share)
        path = given.output / f"average-{share:g}.safetensors"
        save(path, made.network, made.card)
        print(path)


if __name__ == "__main__":
    main()
