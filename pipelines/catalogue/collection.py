"""The STAC collection of a run."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.catalogue.footprint import box_around
from pipelines.catalogue.items import ITEM, TITLES, TYPES
from pipelines.catalogue.model import MODEL
from pipelines.results.report import Report

if TYPE_CHECKING:
    import pystac

_FILES = {
    "report.html": ("Report", "text/html", ["overview"]),
    "report.json": ("Report as data", "application/json", ["metadata"]),
    "tables.xlsx": (
        "All tables",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ["metadata"],
    ),
    "scores.csv": ("Scores", "text/csv", ["metadata"]),
    "measurements.csv": ("Measurements", "text/csv", ["metadata"]),
    "uncertain.csv": ("Least certain places", "text/csv", ["metadata"]),
    "segments.csv": ("Vessels", "text/csv", ["metadata"]),
    "nodes.csv": ("Bifurcations and ends of vessels", "text/csv", ["metadata"]),
    "zones.csv": ("Vessels in zones around the disc", "text/csv", ["metadata"]),
}

_ERRORS = "Misses and false alarms"

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
        assets=dict(_assets(report, run)),
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


def _assets(report: Report, run: Path) -> Iterator[tuple[str, "pystac.Asset"]]:
    """The files of the run as a whole, by name."""
    import pystac

    for file, (title, kind, roles) in _FILES.items():
        if (run / file).is_file():
            name = Path(file).stem + ("" if file != "report.json" else "_json")
            yield name, pystac.Asset(f"./{file}", title, media_type=kind, roles=roles)
    data = {path.stem: (path, _ERRORS) for path in sorted(run.glob("errors*.gpkg"))}
    if report.joined is not None:
        for what, file in report.joined.files.items():
            title = f"{TITLES.get(what, what)}, of all scenes as one network"
            data[f"joined_{what}"] = run / Path(file).name, title
    for name, (path, title) in data.items():
        if path.is_file():
            of = TYPES.get(path.suffix)
            yield name, pystac.Asset(f"./{path.name}", title, media_type=of, roles=["data"])
