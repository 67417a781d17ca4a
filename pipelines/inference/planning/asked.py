"""What a run was asked for, checked before torch is loaded: an answer takes no second.

Imports next to nothing.
"""

import os
import re
from pathlib import Path

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import DataError, PipelineError
from pipelines.inputs.stac.names import file_of
from pipelines.models.names import find
from tiling.scenes.names import kind_of


def check_asked(config: InferRoads | InferDrive) -> None:
    """Whether the files and folders that were named are there.

    Raises:
        DataError: None of several scenes is there, or no labels, or no area of interest.
        WeightsError: There are no such weights.
        PipelineError: Nothing can be written to the output folder, or earlier results lie there.
    """
    files = [Path(file_of(one)) for one in config.scenes if kind_of(file_of(one)) == "path"]
    default = type(config).model_fields["scenes"].default  # An inbox is made if it is missing.
    if len(files) == len(config.scenes) and config.scenes != default:
        missing = [path for path in files if not path.exists()]
        if missing == files:
            others = f" (nor is any of the other {len(missing) - 1})" if missing[1:] else ""
            raise DataError(f"{missing[0]}: no such file; check the path{others}")
    check_labels(config.labels)
    if isinstance(config, InferRoads) and config.aoi is not None and not config.aoi.is_file():
        raise DataError(f"{config.aoi}: no such file; check --aoi")
    if config.from_run is not None:
        _check_from(config.from_run, config.output)
    for model in config.model:
        find(model)
    if not config.dry_run:
        check_output(config.output)


def _check_from(folder: Path, output: Path) -> None:
    """Whether there are earlier results, which the new ones do not replace.

    Raises:
        DataError: There are none.
        PipelineError: Both are to lie in one folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of earlier results; check --from")
    if folder.resolve() == output.resolve():
        raise PipelineError(
            f"{output}: earlier results are compared with new ones, and these would replace them; "
            "give another --output"
        )


def check_labels(labels: Path | None) -> None:
    """Whether the folder of labels is there, or the one file that holds all of them.

    Raises:
        DataError: It is not.
    """
    if labels is not None and not labels.exists():
        raise DataError(f"{labels}: no such folder of labels; check --labels")


def check_output(folder: Path) -> None:
    """Whether results can be written to a folder, which need not be there yet.

    Raises:
        PipelineError: They cannot.
    """
    if re.match(r"[a-z][a-z0-9+-]+:/|/vsi", str(folder)):
        raise PipelineError(
            f"{folder}: results are written to a folder of this machine, from which an interrupted "
            "run goes on; choose one with --output, then rurnet upload it to s3://..."
        )
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise PipelineError(f"{there}: is a file, not a folder; choose another --output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PipelineError(
            f"{there}: this user may not write there; choose another --output, or change its rights"
        )
