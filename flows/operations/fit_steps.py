"""`rurnet fit-steps WEIGHTS SCENES`: finds when a tile may stop, for `--steps auto`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.errors import FlowsError


def fit_steps(
    weights: str,
    scenes: list[str],
    /,
    *,
    output: Path,
    labels: Path | None = None,
    white_is_nodata: bool = False,
    lost_f1: float = 0.001,
    lost_topology: float = 0.005,
) -> None:
    """Finds when another recurrent step would not pay, and writes weights that know it.

    Rules are tried on labelled images, which the weights must not have been trained on. The one
    with the fewest steps is taken whose scores stay within what may be lost. Masks must be
    nearly those of all steps, too.

    Args:
        weights: Shipped weights by name, or a weights file.
        scenes: Images, globs or folders.
        output: Where the weights are written: a name in .safetensors. It may be the file itself.
        labels: Folder of the labels; without it they are looked for where data sets have them.
        white_is_nodata: Treat patches of white in aerial scenes as missing pixels.
        lost_f1: How much F1 may be lost against all steps.
        lost_topology: How much APLS and clDice may be lost.
    """
    # Imported here: torch takes seconds, and --help should not.
    from pipelines.config.inference import InferDrive, InferRoads
    from pipelines.models.weights import load, save
    from pipelines.training.stopping import fitted_rules

    console = Console(soft_wrap=True, highlight=False)
    model = load(weights)
    of_images: dict[str, Any] = {"scenes": scenes, "labels": labels}
    config = (
        InferDrive(**of_images)
        if model.card.task == "vessels"
        else InferRoads(**of_images, white_is_nodata=white_is_nodata)
    )
    console.print("steps  F1      APLS    clDice  like all: F1  APLS    clDice  unsure  changing")
    every = None
    for found in fitted_rules(model, config, lost_f1=lost_f1, lost_topology=lost_topology):
        label, like = found.to_labels, found.to_all
        every = found.steps if every is None else every  # The first takes all steps.
        console.print(
            f"{found.steps:5.2f}  {label.f1:.4f}  {label.apls:.4f}  {label.cldice:.4f}  "
            f"{like.f1:12.4f}  {like.apls:.4f}  {like.cldice:.4f}  "
            f"{found.rule.unsure:6d}  {found.rule.changing:8d}"
        )
    if found.steps == every:
        raise FlowsError(
            f"{weights}: on these images no rule leaves out a step and keeps the masks, so nothing "
            "was written; give more of them, and some with little to find, as woods or water"
        )
    save(output, model.network, replace(model.card, stopping=found.rule))
    console.print(f"{output}: stops below {found.rule.unsure} unsure, {found.rule.changing} "
                  "changing pixels of a million")  # fmt: skip
