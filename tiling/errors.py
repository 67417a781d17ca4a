"""Errors of scenes, grids and raster files. Each also is the built-in a caller would catch."""


class TilingError(Exception):
    """Root of what this package raises."""


class SceneError(TilingError, OSError):
    """A scene cannot be opened or read, or is not what was asked for."""


class OutsideError(SceneError):
    """A scene lies outside the area of interest."""


class CodecError(SceneError):
    """A scene's compression needs a package that is not installed."""


class GridError(TilingError, ValueError):
    """Tile, overlap or part sizes that make no grid."""


class SinkError(TilingError, OSError):
    """A result cannot be written."""


class ProbabilityError(TilingError, ArithmeticError):
    """A network's probabilities are no finite numbers."""


class ManifestError(TilingError, ValueError):
    """Results that are there were made with other settings."""
