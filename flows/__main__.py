"""`rurnet COMMAND ...`, or `python -m flows COMMAND ...`: every command by its short name.

Imports next to nothing, so that `rurnet --help` answers at once: each command imports what it
needs when it is run.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.table import FLOWS


@dataclass(frozen=True)
class Tool:
    """A command that is no flow.

    Attributes:
        help: What it does, in one line.
        main: Runs it, given how it is typed and the words after that; returns or exits.
    """

    help: str
    main: Callable[[str, Sequence[str]], object]


def _serve(called: str, words: Sequence[str]) -> None:
    from flows.serve import main

    main(called, words)


def _status(called: str, words: Sequence[str]) -> None:
    from flows.operations.status import status
    from flows.operations.tool import run_tool

    run_tool(status, called, words)


def _watch(called: str, words: Sequence[str]) -> None:
    from flows.operations.tool import run_tool
    from flows.operations.watch import watch

    run_tool(watch, called, words)


def _deploy(called: str, words: Sequence[str]) -> None:
    from flows.operations.deploy import deploy
    from flows.operations.tool import run_tool

    run_tool(deploy, called, words)


def _notify(called: str, words: Sequence[str]) -> None:
    from flows.operations.notify import notify
    from flows.operations.tool import run_tool

    run_tool(notify, called, words)


def _slurm_workers(called: str, words: Sequence[str]) -> None:
    from flows.operations.slurm_workers import slurm_workers
    from flows.operations.tool import run_tool

    run_tool(slurm_workers, called, words)


def _fit_steps(called: str, words: Sequence[str]) -> None:
    from flows.operations.fit_steps import fit_steps
    from flows.operations.tool import run_tool

    run_tool(fit_steps, called, words)


def _label_queue(called: str, words: Sequence[str]) -> None:
    from flows.operations.label_queue import label_queue
    from flows.operations.tool import run_tool

    run_tool(label_queue, called, words)


def _benchmark(called: str, words: Sequence[str]) -> None:
    from flows.cli.benchmark import benchmark
    from flows.operations.tool import run_tool

    run_tool(benchmark, called, words)


def _dicom_names(called: str, words: Sequence[str]) -> None:
    from flows.operations.dicom_names import dicom_names
    from flows.operations.tool import run_tool

    run_tool(dicom_names, called, words)


def _networks(called: str, words: Sequence[str]) -> None:
    from rurnet.__main__ import main

    main(called, words)


def _export(called: str, words: Sequence[str]) -> None:
    from pipelines.export.__main__ import main

    main(called, words)


def _figures(called: str, words: Sequence[str]) -> None:
    from pipelines.report.paper import main

    main(called, words)


def _catalogue(called: str, words: Sequence[str]) -> None:
    from flows.cli.catalogue import catalogue
    from flows.operations.tool import run_tool

    run_tool(catalogue, called, words)


def _upload(called: str, words: Sequence[str]) -> None:
    from flows.cli.upload import upload
    from flows.operations.tool import run_tool

    run_tool(upload, called, words)


def _demo(called: str, words: Sequence[str]) -> None:
    from flows.demo import main

    sys.exit(main(called, words))


def _install_completion(_: str, words: Sequence[str]) -> None:
    from flows.cli.benchmark import benchmark
    from flows.cli.catalogue import catalogue
    from flows.cli.completion import files, install_completion
    from flows.cli.upload import upload
    from flows.operations.deploy import deploy
    from flows.operations.dicom_names import dicom_names
    from flows.operations.fit_steps import fit_steps
    from flows.operations.label_queue import label_queue
    from flows.operations.notify import notify
    from flows.operations.slurm_workers import slurm_workers
    from flows.operations.status import status
    from flows.operations.watch import watch
    from flows.serve import serve

    described: dict[str, Callable[..., object]] = {
        "serve": serve,
        "status": status,
        "watch": watch,
        "deploy": deploy,
        "notify": notify,
        "slurm-workers": slurm_workers,
        "fit-steps": fit_steps,
        "label-queue": label_queue,
        "benchmark": benchmark,
        "catalogue": catalogue,
        "upload": upload,
        "dicom-names": dicom_names,
    }
    tools = {
        name: (tool.help, described.get(name, files))
        for name, tool in TOOLS.items()
        if not name.startswith("--")
    }
    install_completion("rurnet", tools, words)


TOOLS = {
    "serve": Tool("Serve every flow as a Prefect deployment until interrupted.", _serve),
    "status": Tool("Print the ledger of an outbox, and what a rerun would do.", _status),
    "watch": Tool("Run the job of an inbox when scenes arrive there, through Prefect.", _watch),
    "deploy": Tool("Have the workers of a Prefect pool run every flow.", _deploy),
    "notify": Tool("Tell a webhook, Slack or an e-mail address of runs that fail.", _notify),
    "slurm-workers": Tool("Start a Dask cluster whose workers are jobs of Slurm.", _slurm_workers),
    "fit-steps": Tool("Find when a tile needs no other step, for --steps auto.", _fit_steps),
    "label-queue": Tool("Write the least certain tiles of a run into a folder to label.",
                        _label_queue),
    "benchmark": Tool("Train and score by a published protocol; leave one table.", _benchmark),
    "dicom-names": Tool("Print which DICOM file has which name in results.", _dicom_names),
    "networks": Tool("List the networks with their size, cost and speed here.", _networks),
    "export": Tool("Write weights for other programs: as ONNX, .pt2, MONAI bundle.", _export),
    "figures": Tool("Draw the figures of a run for a paper, as PDF, SVG and PNG.", _figures),
    "catalogue": Tool("Write a STAC catalogue of a run beside its rasters.", _catalogue),
    "upload": Tool("Upload the files of a finished run to S3.", _upload),
    "demo": Tool("Draw a sample scene, find its roads and score them.", _demo),
    "--install-completion": Tool("Let bash, zsh or fish complete commands and options.",
                                 _install_completion),
}  # fmt: skip
"""The commands that are no flows, by their names."""


def main() -> None:
    """Runs the command that the first word names, with the words after it; may exit.

    The exit status is the command's. It is 2 if there is no such command.
    """
    name, *words = sys.argv[1:] or ["--help"]
    called = f"rurnet {name}"
    if name in FLOWS:
        from flows.command import command

        command(FLOWS[name], called, words)
    elif name in TOOLS:
        TOOLS[name].main(called, words)
    elif name in ("--help", "-h"):
        print(_listing())
    else:
        print(f"error: no command is called {name}; see rurnet --help", file=sys.stderr)
        sys.exit(2)


def _listing() -> str:
    """Returns every command with its help, a line each."""
    helps = {name: each.help for table in (FLOWS, TOOLS) for name, each in table.items()}
    width = max(map(len, helps))
    return "\n".join(
        [
            "Usage: rurnet COMMAND ...",
            "",
            "Batch segmentation of roads and vessels in very large or very many images.",
            "",
            *(f"  {name:{width}}  {help}" for name, help in helps.items()),
            "",
            "rurnet COMMAND --help lists what a command can be told.",
        ]
    )


if __name__ == "__main__":
    main()
