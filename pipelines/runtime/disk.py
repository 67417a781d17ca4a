"""What is said where the disk refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import PipelineError
from tiling.errors import TilingError


@contextmanager
def refusals_named(path: Path, remedy: str) -> Iterator[None]:
    """Turns errors of the disk into one that names a file or folder and a remedy.

    Args:
        path: What cannot be written.
        remedy: What to do, after a semicolon.

    Raises:
        PipelineError: In place of an `OSError`.
    """
    try:
        yield
    except (PipelineError, TilingError):
        raise  # Some of them are OSErrors that already name a file.
    except OSError as error:
        raise PipelineError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from error
