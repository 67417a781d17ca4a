"""`rurnet label-queue RUN`: the least certain tiles of a run as a folder to label."""

from pathlib import Path

from rich.console import Console
from rich.table import Table


def label_queue(run: Path, /, *, output: Path, tiles: int = 10, side: int = 512) -> None:
    """Writes the tiles in which a run was least certain into a folder, to be labelled by a person.

    OUTPUT/images has the tiles, OUTPUT/drafts what was found there, as PNG and as GeoPackage.
    Correct a draft and save it in OUTPUT/labels: as PNG of the same size, or as GeoPackage.
    Labels that are there already stay.

    Args:
        run: Folder of a run of infer-roads or infer-drive.
        output: Folder of the queue.
        tiles: How many tiles at most.
        side: Side of a tile in pixels.
    """
    # Imported here: it takes a second, and --help should not.
    from pipelines.labelling.queue import IMAGES, LABELS, label_queue
    from pipelines.results.reading import read_report

    report = read_report(run)
    queued = label_queue(run, report, output, tiles, side)
    table = Table("tile", "scene", "row", "column", "entropy, bits", "labelled", box=None)
    for one in queued:
        table.add_row(
            one.name, one.scene, str(one.window.row), str(one.window.column),
            f"{one.entropy:.3f}", "yes" if one.labelled else "no",
        )  # fmt: skip
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    console.print(
        f"Correct the drafts in {output / 'drafts'} and save them in {output / LABELS}. Then:"
    )
    weights = report.settings.get("model") or []
    start = f" --start-from {weights[0]}" if len(weights) == 1 else ""
    if report.model is not None:
        start += f" --classes {','.join(report.model.classes[1:])}"
    console.print(
        f"  rurnet train-folder --images {output / IMAGES} --labels {output / LABELS} "
        f"--labelled-only{start}", markup=False,
    )  # fmt: skip
