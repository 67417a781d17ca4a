"""From a configuration model to a function's parameters, which Prefect and cyclopts both read."""

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter, Token
from pydantic import BaseModel, Field

Config = TypeVar("Config", bound=BaseModel)

POSITIONAL = ("scenes", "predictions")
"""Fields that take the words of a command line that follow no option."""


def with_fields(
    config: type[Config], body: Callable[[Config], Any], help: str
) -> Callable[..., Any]:
    """Returns a function whose parameters are a model's fields; it calls `body` with the model.

    Args:
        config: The model.
        body: Is called with the values once the model has checked them.
        help: The function's docstring.
    """

    def function(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named)
        return body(config(**bound.arguments))

    # cyclopts takes a model too, but then all its fields stand for positional words, the first
    # scene for the first field; and Prefect needs the parameters in any case.
    parameters = [_parameter(config, name) for name in config.model_fields]
    signature = inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind))
    vars(function)["__signature__"] = signature
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = help
    return function


def _parameter(config: type[BaseModel], name: str) -> inspect.Parameter:
    field = config.model_fields[name]
    # Where positional words exist, a list option takes one value each time: it would swallow them.
    takes_many = not any(each in config.model_fields for each in POSITIONAL)
    option = Parameter(
        help=field.description,
        negative_iterable=(),
        consume_multiple=takes_many and _is_list(field.annotation),
        # cyclopts by itself would round 300.5 to 300.
        converter=_whole_number if field.annotation in (int, int | None) else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD
        if name in POSITIONAL
        else inspect.Parameter.KEYWORD_ONLY,
        default=field.get_default(),
        # The bare type: the model checks the values, and its errors can be said in one line.
        annotation=Annotated[field.annotation, option, Field(description=field.description)],
    )


def _whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """Returns the whole number that a word stands for.

    Raises:
        ValueError: It stands for none.
    """
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value} is not a whole number.") from None


def _is_list(annotation: Any) -> bool:
    """Whether a type is a list, or a list or None."""
    return any(
        typing.get_origin(each) is list for each in (annotation, *typing.get_args(annotation))
    )
