"""The STAC collection of a run."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.catalogue.footprint import box_around
from pipelines.catalogue.items import ITEM
from pipelines.catalogue.model import MODEL
from pipelines.results.report import Report

if TYPE_CHECKING:
    import pystac

_FILES = {
    "report.html": ("Report", "text/html", ["overview"]),
    "report.json": ("Report as data", "application/json", ["metadata"]),
    "scores.csv": ("Scores", "text/csv", ["metadata"]),
    "measurements.csv": ("Measurements", "text/csv", ["metadata"]),
    "errors.gpkg": ("Misses and false alarms", "application/geopackage+sqlite3", ["data"]),
}

_WORLD = [-180.0, -90.0, 180.0, 90.0]


def collection_of(
    report: Report, run: Path, name: str, items: Sequence["pystac.Item"], modelled: bool
) -> "pystac.Collection":
    """The collection of a run's items; its links are relative to the folder of the run.

    Args:
        report: Of the run.
        run: Its folder.
        name: Its id.
        items: Of the scenes.
        modelled: Whether there is an item of the weights.
    """
    import pystac

    boxes = [list(item.bbox) for item in items if item.bbox is not None]
    times = sorted(item.datetime for item in items if isinstance(item.datetime, datetime))
    # Without any coordinates it may be anywhere: STAC knows no collection without extent.
    spatial = pystac.SpatialExtent(
        [box_around(boxes), *boxes] if len(boxes) > 1 else boxes or [_WORLD]
    )
    temporal = pystac.TemporalExtent([[times[0], times[-1]]])
    what = report.model.task if report.model else "foreground"
    by = f" by {report.model.name}" if report.model else ""
    many = "1 scene" if len(items) == 1 else f"{len(items)} scenes"
    collection = pystac.Collection(
        name,
        f"{what.capitalize()} found{by} in {many}, with RurNet {report.version}.",
        pystac.Extent(spatial, temporal),
        title=f"{what.capitalize()}: {name}",
        license="other",
        assets={
            Path(file).stem + ("" if file != "report.json" else "_json"): pystac.Asset(
                f"./{file}", title, media_type=kind, roles=roles
            )
            for file, (title, kind, roles) in _FILES.items()
            if (run / file).is_file()
        },
    )
    collection.clear_links("root")
    collection.add_link(pystac.Link("root", "./collection.json", "application/json"))
    for item in items:
        collection.add_link(pystac.Link("item", f"./{item.id}/{ITEM}", "application/geo+json"))
    if modelled:
        collection.add_link(
            pystac.Link("derived_from", f"./{MODEL}", "application/geo+json", "The weights")
        )
    return collection
