"""Writes the catalogue of a run: `collection.json`, and `item.json` beside each scene's rasters."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.catalogue.collection import collection_of
from pipelines.catalogue.items import ITEM, item_of
from pipelines.catalogue.model import MODEL, model_item
from pipelines.errors import DataError, PipelineError, first_few
from pipelines.results.reading import read_report
from pipelines.runtime.disk import refusals_named
from tiling.disk import appearing
from tiling.manifest import MANIFEST

COLLECTION = "collection.json"

_LOG = logging.getLogger("rurnet")


def catalogue(run: Path, taken: datetime | None = None) -> Path:
    """Writes a STAC catalogue of a finished run beside its files; an earlier one is replaced.

    Scenes without coordinates get an item without geometry.

    Args:
        run: The folder of the run.
        taken: When the scenes were taken, with time zone, where their own STAC items do not say;
            without it, when they were predicted.

    Returns:
        `run/collection.json`.

    Raises:
        DataError: There is no report of this version in the folder, or no scene beside it.
        PipelineError: pystac is not installed, or the disk refuses.
    """
    _check_installed()
    report = read_report(run)
    folders = {one.name: run / one.name for one in report.scenes if (run / one.name).is_dir()}
    if not folders:
        raise DataError(
            f"{run}: no folder of a scene lies beside its report; give the --output folder of "
            "infer-roads, infer-drive or vectorise"
        )
    model = model_item(report, run)
    made_by = None if model is None else f"../{MODEL}"
    items = [
        item_of(report, scene, folders[scene.name], f"../{COLLECTION}", made_by, taken)
        for scene in report.scenes
        if scene.name in folders
    ]
    name = re.sub(r"[^\w.-]+", "-", run.resolve().name).strip("-") or "scenes"
    collection = collection_of(report, run, name, items, model is not None)
    with refusals_named(run, "free some space and run the command again"):
        if model is None:
            (run / MODEL).unlink(missing_ok=True)  # Of an earlier run.
        else:
            _write(run / MODEL, model.to_dict(include_self_link=False, transform_hrefs=False))
        for item in items:
            item.collection_id = collection.id
            contents = item.to_dict(include_self_link=False, transform_hrefs=False)
            _write(folders[item.id] / ITEM, contents)
        _write(run / COLLECTION, collection.to_dict(include_self_link=False, transform_hrefs=False))
    nowhere = [item.id for item in items if item.geometry is None]
    if nowhere:
        _LOG.warning(
            "%s: %d scenes have no coordinates, so their items have no geometry: %s",
            run, len(nowhere), ", ".join(nowhere),
        )  # fmt: skip
    others = sorted(one.parent.name for one in run.glob(f"*/{MANIFEST}"))
    if left := [name for name in others if name not in folders]:
        _LOG.warning(
            "%s: of other runs than that of report.json, and so not in the collection: %s; predict "
            "all scenes with one command, which takes over what is there",
            run, first_few(left),
        )  # fmt: skip
    return run / COLLECTION


def _check_installed() -> None:
    if find_spec("pystac") is None:
        raise PipelineError("a STAC catalogue needs pystac: pip install 'rurnet[stac]'")


def _write(path: Path, contents: Mapping[str, Any]) -> None:
    with appearing(path) as partial:
        partial.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
