"""Silence around a DICOM file: what its libraries say quotes values, and one may be a name."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TALKERS = ("pydicom", "highdicom", "pylibjpeg", "openjpeg")
"""Loggers whose lines quote values."""


@contextmanager
def unquoted() -> Iterator[None]:
    """Keeps the warnings and the log lines of the libraries that read DICOM from everybody.

    Their loggers stay apart from those above them, as threads share them.
    """
    for name in _TALKERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:  # Or Python's last resort would print the lines.
            logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
