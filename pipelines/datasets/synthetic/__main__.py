"""`python -m pipelines.datasets.synthetic DIR`: writes drawn scenes and fundus images."""

import sys
from pathlib import Path

from pipelines.datasets.synthetic import write_drive_folder, write_roads_folder

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m pipelines.datasets.synthetic DIR")
    folder = Path(sys.argv[1])
    print(write_roads_folder(folder / "massachusetts_roads"))
    print(write_drive_folder(folder / "DRIVE"))
