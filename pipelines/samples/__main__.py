"""`python -m pipelines.samples DIR`: writes drawn scenes and fundi for trying things out."""

import sys
from pathlib import Path

from pipelines.samples import write_drive_folder, write_roads_folder

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m pipelines.samples DIR")
    folder = Path(sys.argv[1])
    print(write_roads_folder(folder / "massachusetts_roads"))
    print(write_drive_folder(folder / "DRIVE"))
