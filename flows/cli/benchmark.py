"""`rurnet benchmark PROTOCOL`: a number that can be compared with published ones."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console
from rich.table import Table

from flows.cli.process import OrderlyEnd, let_threads_wait_quietly
from pipelines.protocols.published import PROTOCOLS, ProtocolName

if TYPE_CHECKING:
    from pipelines.protocols.trainings import Asked

_WIDEST = 200
"""Columns of the table that is printed, at most: several seeds are not cut."""


def benchmark(
    protocol: Annotated[ProtocolName, Parameter(help="Which images train, and which test.")],
    /,
    *,
    data: Annotated[
        Path | None,
        Parameter(help="Folder of the data set, as it is unpacked. By default ./DRIVE and so on."),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="Folder of results. By default runs/benchmark-PROTOCOL.")
    ] = None,
    model: Annotated[str, Parameter(help="Network to train, see rurnet networks.")] = "dru-4",
    training_protocol: Annotated[
        Literal["default", "paper"],
        Parameter(help="Whose settings it is trained with, as --protocol of a training."),
    ] = "default",
    iterations: Annotated[
        int | None,
        Parameter(
            help="Of each training. By default those of the settings.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
    seeds: Annotated[
        tuple[int, ...],
        Parameter(help="One training each, of stare twenty.", negative="",
                  consume_multiple=True, validator=validators.Number(gte=0)),
    ] = (1, 2, 3),
    weights: Annotated[
        str | None,
        Parameter(help="Only score these weights, by name or file. The protocol's training is "
                  "then not run, and the table says so."),
    ] = None,
    dry_run: Annotated[
        bool, Parameter(help="Check the data, say what would be done, and write nothing.")
    ] = False,
) -> None:  # fmt: skip
    """Trains and scores by a published protocol, on your own copy of the data.

    Leaves one table with parameters, operations, scores, settings and the SHA-256 of every file:
    benchmark.md, and benchmark.json for programs. The same command goes on where it was stopped.
    """
    let_threads_wait_quietly()
    end = OrderlyEnd()
    # Imported here: torch takes seconds, and --help should not.
    from pipelines.protocols.trainings import Asked

    known = PROTOCOLS[protocol]
    asked = Asked(
        known,
        data=data or Path(known.folder),
        output=output or Path("runs") / f"benchmark-{protocol}",
        model=model,
        training=training_protocol,
        iterations=iterations,
        seeds=tuple(sorted(set(seeds))),
        weights=weights,
    )
    try:
        if dry_run:
            _print_plan(asked)
        else:
            _run(asked)
    except KeyboardInterrupt as stop:
        Console(stderr=True).print("error: stopped; the same command goes on from what is there")
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        end.stopped(status)
        sys.exit(status)


def _run(asked: "Asked") -> None:
    from flows.cli.direct import shown_progress
    from pipelines.protocols.run import RESULT, TABLE, run_benchmark
    from pipelines.protocols.table import HEADINGS, rows

    with shown_progress(Console(stderr=True)) as progress:
        done = run_benchmark(asked, progress)
    out = Console(soft_wrap=True, highlight=False)
    out.print(done.title, markup=False)
    for remark in done.remarks:
        out.print(remark, markup=False)
    # Headings downwards: side by side they are wider than a terminal.
    table = Table(box=None, pad_edge=False, show_header=False)
    found = rows(done)
    for _ in (HEADINGS, *found):
        table.add_column(no_wrap=True)
    for heading, *cells in zip(HEADINGS, *found, strict=True):
        table.add_row(heading, *cells)
    out.print(table, width=max(out.width, _WIDEST))
    out.print(f"data: {done.data.files} files, SHA-256 {done.data.sha256}", markup=False)
    out.print(f"table: {asked.output / TABLE}, {asked.output / RESULT}", markup=False)


def _print_plan(asked: "Asked") -> None:
    from pipelines.protocols.run import DIGESTS, RESULT, TABLE, plan_benchmark

    plan = plan_benchmark(asked)
    images, network = plan.images, plan.network
    said = [
        asked.protocol.title,
        f"split: {asked.protocol.source}",
        f"{asked.data}: all {len(images.files)} files are there",
        f"test: {_names(images.test)}",
        f"scored: {asked.protocol.counted}",
        f"network: {network.name}, {network.parameters / 1e6:.3f} M parameters, "
        f"{network.operations / 1e9:.2f} G multiply-adds at {network.pixels} x {network.pixels}",
    ]
    if asked.weights is None:
        chose = images.valid or plan.held_out
        of = " in the first training" if asked.protocol.leave_one_out else ""
        said += [
            f"train: {_names(images.train)}",
            f"of these, held out to choose the weights{of}: {_names(chose)}"
            if plan.held_out and not images.valid
            else f"choose the weights: {_names(chose)}",
            f"trainings: {plan.trainings} of {plan.iterations} iterations, seeds "
            f"{', '.join(map(str, plan.seeds))}"
            + (f"; done: {', '.join(map(str, plan.done))}" if plan.done else ""),
        ]
    else:
        said.append(f"weights: {asked.weights}; the protocol's training is not run")
    said.append(
        f"would write {', '.join(str(asked.output / name) for name in (TABLE, RESULT, DIGESTS))}"
    )
    out = Console(soft_wrap=True, highlight=False)
    for line in said:
        out.print(line, markup=False)
    out.print("Nothing was written.")


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} images ({', '.join(names)})"
