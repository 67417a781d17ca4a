"""Errors of the networks."""


class RurnetError(Exception):
    """Root of what this package raises."""


class NetworkError(RurnetError, ValueError):
    """A network cannot be built, or was given a tensor it cannot take."""
