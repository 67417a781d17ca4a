"""Errors that the networks raise."""


class RurnetError(Exception):
    """Base of all errors of this package."""


class NetworkError(RurnetError, ValueError):
    """A network cannot be built, or was given a tensor of the wrong shape or type."""
