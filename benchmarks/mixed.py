"""`python -m benchmarks.mixed BEFORE AFTER --output FILE`: weights between two.

Weights that were trained on from others, on other data, lie close enough to them that the networks
between the two work as well (Wortsman et al., CVPR 2022). Somewhere between them a network often
keeps what the first found and has learned what the second finds. Which share is best, held-out
images must tell.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.models.weights import Model, between, load, save


def mixed(before: Model, after: Model, share: float) -> Model:
    """The weights at a share of the way from one network to another of its kind.

    Args:
        before: Where the way starts.
        after: Where it ends; its card is kept, with a note.
        share: 0 to 1.

    Raises:
        PipelineError: The networks differ.
    """
    if (before.card.network, before.card.arguments, before.card.mean, before.card.std) != (
        after.card.network, after.card.arguments, after.card.mean, after.card.std,
    ):  # fmt: skip
        raise PipelineError(f"{before.name} and {after.name} are no networks of one kind and scale")
    state = between(before.network.state_dict(), after.network.state_dict(), share)
    after.network.load_state_dict(state)
    note = {"mixed": {"before": before.digest, "after": after.digest, "share": share}}
    return replace(after, card=replace(after.card, training={**after.card.training, **note}))


def main() -> None:
    """Writes the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="shipped weights by name, or a file")
    parser.add_argument("after", help="weights that were trained on from those")
    parser.add_argument("--share", type=float, default=0.5, help="of the way, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="weights file to write")
    given = parser.parse_args()
    model = mixed(load(given.before), load(given.after), given.share)
    save(given.output, model.network, model.card)


if __name__ == "__main__":
    main()
