"""Methods of Prefect's clients that are wrapped, where Prefect has no way to ask for it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

_MARK = "wrapped_by_rurnet"

Method = Callable[..., Any]


def wrap_once(owner: type, name: str, wrapped: Callable[[Method], Method]) -> None:
    """Replaces a method, once, however often it is asked for.

    Args:
        owner: The class.
        name: Of the method.
        wrapped: Returns what is to be called in place of the method that it is given.
    """
    original = getattr(owner, name)
    if getattr(original, _MARK, False):
        return
    method = wraps(original)(wrapped(original))
    vars(method)[_MARK] = True
    setattr(owner, name, method)
