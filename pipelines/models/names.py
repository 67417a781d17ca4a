"""Names of weights: files, and those that come with the package. Imports no torch."""

from importlib.resources import files
from pathlib import Path

from pipelines.errors import WeightsError

SUFFIX = ".safetensors"


def shipped() -> list[str]:
    """Returns the names of the weights that come with the package."""
    folder = files("pipelines.models") / "shipped"
    return sorted(p.name.removesuffix(SUFFIX) for p in folder.iterdir() if p.name.endswith(SUFFIX))


def is_shipped(path: Path) -> bool:
    """Whether a weights file is one of those that come with the package."""
    return path.parent.resolve() == Path(str(files("pipelines.models") / "shipped")).resolve()


def find(name_or_path: str) -> Path:
    """Finds a weights file by its path, or shipped weights by their name.

    Raises:
        WeightsError: There are none.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    packaged = Path(str(files("pipelines.models") / "shipped" / f"{name_or_path}{SUFFIX}"))
    if packaged.is_file():
        return packaged
    raise WeightsError(
        f"{name_or_path}: neither a weights file nor one of the shipped {', '.join(shipped())}"
    )
