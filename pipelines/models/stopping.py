"""The rule by which a tile stops after fewer recurrent steps: `--steps auto`."""

import json
from dataclasses import dataclass
from pathlib import Path

_SHIPPED = Path(__file__).parent / "shipped" / "stopping.json"

_GATES = _SHIPPED.with_name("starting.json")


@dataclass(frozen=True)
class StopRule:
    """When another step of a network would not pay.

    Both are shares of a tile's pixels in millionths; see `pipelines.inference.stepping.stopping`
    for what is counted.

    Attributes:
        unsure: A tile with fewer unsure pixels after its first step takes no second one.
        changing: A tile of which fewer pixels changed in a step takes no further one.
    """

    unsure: int
    changing: int


def shipped_rule(digest: str) -> StopRule | None:
    """The rule of shipped weights, by their digest; None of other weights.

    It is kept beside them: in their own metadata it would change the digest that all earlier
    results name.
    """
    rules = json.loads(_SHIPPED.read_text())
    return StopRule(**rules[digest]) if digest in rules else None


def start_gate(digest: str) -> int | None:
    """How much of a tile may move in its first step from an earlier mask on, in millionths.

    A tile of which more moves starts anew. None of weights for which that was not measured.
    """
    gates: dict[str, int] = json.loads(_GATES.read_text())
    return gates.get(digest)
