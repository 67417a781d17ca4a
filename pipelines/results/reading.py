"""Reads the report of a finished run."""

import json
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import DataError
from pipelines.results.report import Report, from_json


def read_report(run: Path) -> Report:
    """The report of a run.

    Args:
        run: Its folder, or its `report.json`.

    Raises:
        DataError: There is none, or one of another version.
    """
    path = run / "report.json" if run.is_dir() else run
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the --output folder of a run") from None
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(
            f"{path}: is no report of this version ({str(error).splitlines()[0]}); run the command "
            "in its made_with again: what is computed is kept"
        ) from error
