"""The STAC item of the weights, in the terms of the MLM extension."""

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.catalogue.items import classes_of, relative_to
from pipelines.errors import WeightsError
from pipelines.models.names import find, is_shipped
from pipelines.models.weights import Model, load
from pipelines.results.report import Report

if TYPE_CHECKING:
    import pystac

MODEL = "model.json"
"""Name of the item, beside the collection."""

_MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"

_TASKS = ["semantic-segmentation"]


def model_item(report: Report, run: Path) -> "pystac.Item | None":
    """The item of the weights that a run used; None where they are several, or not to be had.

    Args:
        report: Of the run.
        run: Its folder, from which links go out.
    """
    names = report.settings.get("model") or []
    if report.model is None or len(names) != 1:
        return None
    try:
        model = load(names[0])
    except WeightsError:
        return None
    # Others may lie there by now.
    return _item(report, model, run) if model.digest == report.model.weights_sha256 else None


def _item(report: Report, model: Model, run: Path) -> "pystac.Item":
    import pystac

    card = model.card
    shape = {"dim_order": ["batch", "channel", "height", "width"], "data_type": "float32"}
    steps = report.model.steps if report.model else 1
    return pystac.Item(
        _name(model.name), None, None, datetime.fromisoformat(report.created),
        {
            "mlm:name": _name(model.name),
            "mlm:architecture": card.network,
            "mlm:framework": "PyTorch",
            "mlm:tasks": _TASKS,
            "mlm:total_parameters": sum(each.numel() for each in model.network.parameters()),
            "mlm:input": [
                {
                    "name": "image",
                    "description": "Values from 0 to 255",
                    "bands": [],
                    "input": {"shape": [-1, len(card.mean), -1, -1], **shape},
                    "value_scaling": [
                        {"type": "z-score", "mean": mean, "stddev": std}
                        for mean, std in zip(card.mean, card.std, strict=True)
                    ],
                }
            ],
            "mlm:output": [
                {
                    "name": "logits",
                    "tasks": _TASKS,
                    "result": {"shape": [-1, len(card.classes), -1, -1], **shape},
                    "classification:classes": classes_of(card.classes),
                }
            ],
            "mlm:hyperparameters": {"steps": steps},
        },
        stac_extensions=[_MLM],
        assets={
            "weights": pystac.Asset(
                _link_to(model.source, report.version, run),
                "Weights, as safetensors",
                media_type="application/octet-stream",
                roles=["mlm:model"],
                extra_fields={
                    "mlm:artifact_type": "safetensors",
                    "rurnet:sha256": hashlib.sha256(find(model.source).read_bytes()).hexdigest(),
                },
            )
        },
    )  # fmt: skip


def _link_to(source: str, version: str, run: Path) -> str:
    """Where weights are: shipped ones by package and version, others from the run's folder on."""
    path = find(source).resolve()
    if is_shipped(path):
        return f"pkg:pypi/rurnet@{version}#pipelines/models/shipped/{path.name}"
    return relative_to(path, run)


def _name(text: str) -> str:
    """A name in the letters that the extension allows; it begins with one of the alphabet."""
    name = re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-_.")
    return name if re.fullmatch("[A-Za-z].+[A-Za-z0-9]", name) else f"weights-{name}".strip("-")
