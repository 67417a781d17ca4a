"""`rurnet dicom-names`: which DICOM file has which name in results."""

import csv
import sys
from pathlib import Path

from pipelines.errors import DataError
from tiling.dicom.folders import dicom_files
from tiling.dicom.names import is_dicom
from tiling.scenes.names import shown


def dicom_names(*paths: Path) -> None:
    """Print, as CSV, which DICOM file has which name in results.

    Results are not named after DICOM files, because their names may tell whose eye they show. Keep
    this list where the files are kept.

    Args:
        paths: DICOM files, and folders of such.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(dicom_files(path)) if path.is_dir() else [path]
        if not inside or not all(map(is_dicom, inside)):
            raise DataError(f"{path}: no DICOM file; check the path")
        files += inside
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "name"])
    writer.writerows((file, shown(file)) for file in files)
