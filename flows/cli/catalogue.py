"""`rurnet catalogue RUN`: a finished run as a STAC catalogue."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.catalogue.write import catalogue as write_catalogue


def catalogue(
    run: Annotated[Path, Parameter(help="Folder of a run, with report.json.")],
    /,
    *,
    taken: Annotated[
        datetime | None,
        Parameter(help="When the scenes were taken, for example 2024-05-31 or "
                  "2024-05-31T10:30:00; UTC. By default what the STAC items that they come from "
                  "say, else when they were predicted."),
    ] = None,
) -> None:  # fmt: skip
    """Write a STAC collection of a run, with an item beside the rasters of each scene."""
    if taken is not None and taken.tzinfo is None:
        taken = taken.replace(tzinfo=UTC)
    print(write_catalogue(run, taken))
