"""What a dry run prints on standard output. Imports nothing of what reports need."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.results.estimate import SceneEstimate
from pipelines.results.result import Result
from pipelines.results.tally import duration


def print_dry_run(result: Result) -> None:
    """Prints what each scene would take, and all of them; or why there is nothing to do."""
    out = Console(soft_wrap=True, highlight=False)
    if result.nothing is not None:
        out.print(result.nothing, markup=False)
        return
    estimates = result.estimates or ()
    out.print(_estimate_table(estimates))
    for one in estimates:
        if one.skipped is not None:
            out.print(f"{one.name}: left out: {one.skipped}", markup=False)
    if len(done := [one for one in estimates if one.done]) > 1:
        out.print(_of_all(done), markup=False)
    measured = max((one.measured for one in estimates), default=0)
    timing = (
        f"time of one process, from {measured} measured tiles"
        if measured
        else "--measure tells the time too"
    )
    out.print(f"Memory and disk at most; {timing}. Nothing was written.")
    if backends := sorted({one.backend for one in estimates if one.backend is not None}):
        count = sum(one.backend is not None for one in estimates)
        out.print(f"Computed by {' and '.join(backends)}: {count} of {len(estimates)} scenes.")
    if lines := [one for one in estimates if one.lines_left is not None]:
        left = sum(bool(one.lines_left) for one in lines)
        out.print(
            f"Lines: {left} of {len(lines)} scenes have none yet. They are made when a scene's "
            "rasters are done, on one core; their time and memory grow with the length of the "
            "roads that are found, and are not in these figures."
        )


def _of_all(estimates: Sequence[SceneEstimate]) -> str:
    """What a whole batch comes to, in a line."""
    left, tiles = (sum(getattr(one, what) for one in estimates) for what in ("left", "tiles"))
    said = [f"{len(estimates)} scenes: {left} of {tiles} tiles left"]
    if all(one.seconds is not None for one in estimates):
        said.append(duration(sum(one.seconds or 0 for one in estimates)))
    # One scene after the other takes memory; the disk holds all of them.
    said.append(f"{max(one.memory for one in estimates) / 1e9:.1f} GB of memory")
    said.append(f"{sum(one.disk for one in estimates) / 1e9:.2f} GB of disk")
    return ", ".join(said)


def _estimate_table(estimates: Sequence[SceneEstimate]) -> Table:
    """Returns what there is to do, a row per scene that can be read."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scene")
    for title in ("size", "tiles left", "parts", "done twice", "memory", "disk", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in estimates:
        if one.done:
            table.add_row(
                escape(one.name),
                f"{one.width} x {one.height}",
                f"{one.left} of {one.tiles}",
                str(one.parts),
                f"{one.redundant:.1%}",
                f"{one.memory / 1e9:.1f} GB",
                f"{one.disk / 1e9:.2f} GB",
                "–" if one.seconds is None else duration(one.seconds),
            )
    return table
