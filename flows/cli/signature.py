"""From a configuration model to a function's parameters, which Prefect and cyclopts both read."""

import inspect
import typing
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union

from cyclopts import Parameter, Token
from pydantic import BaseModel, Field, ValidationError

_SPELT = {"from_run": "--from"}
"""Options that are spelt otherwise than their fields: `from` is a word of Python."""

Config = TypeVar("Config", bound=BaseModel)

POSITIONAL = ("scenes", "predictions")
"""Fields that take the words of a command line that follow no option."""


def _raised(error: ValidationError) -> NoReturn:
    raise error


def with_fields(
    config: type[Config],
    body: Callable[[Config], Any],
    help: str,
    refused: Callable[[ValidationError], Any] = _raised,
) -> Callable[..., Any]:
    """Returns a function whose parameters are a model's fields; it calls `body` with the model.

    Args:
        config: The model.
        body: Is called with the values once the model has checked them.
        help: The function's docstring.
        refused: Is called instead, where the model refuses the values, with what it says.
    """

    def function(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named)
        try:
            values = config(**bound.arguments)
        except ValidationError as error:
            return refused(error)
        return body(values)

    # cyclopts takes a model too, but then all its fields stand for positional words, the first
    # scene for the first field; and Prefect needs the parameters in any case.
    parameters = [_parameter(config, name) for name in config.model_fields]
    signature = inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind))
    vars(function)["__signature__"] = signature
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = help
    return function


def option_of(field: str) -> str:
    """The option of a command line that sets a field."""
    return _SPELT.get(field, "--" + field.replace("_", "-"))


def wrong_values(error: ValidationError, config: type[BaseModel]) -> list[tuple[str | None, str]]:
    """What a model refuses: each field, None where several do not go together, and why."""
    problems: list[Any] = error.errors()
    # Of "auto" or a number it is said what the number lacks.
    numbers = {one["loc"][0] for one in problems if one["loc"] and one["type"] != "literal_error"}
    found: list[tuple[str | None, str]] = []
    for one in problems:
        field = str(one["loc"][0]) if one["loc"] else None
        if one["type"] == "literal_error" and field in numbers:
            continue
        said = one["msg"].removeprefix("Value error, ")
        if one["type"] == "string_pattern_mismatch" and field is not None:
            # The examples in the description say more than a regular expression.
            wanted = config.model_fields[field].description or ""
            said = f"{one['input']!r} does not fit its description: {wanted.rstrip('.')}"
        found.append((field, said))
    return found


def _parameter(config: type[BaseModel], name: str) -> inspect.Parameter:
    field = config.model_fields[name]
    bare = _bare(field.annotation)
    # Where positional words exist, a list option takes one value each time: it would swallow them.
    takes_many = not any(each in config.model_fields for each in POSITIONAL)
    option = Parameter(
        name=_SPELT.get(name),
        help=field.description,
        negative_iterable=(),
        consume_multiple=takes_many and _is_list(bare),
        # cyclopts by itself would round 300.5 to 300.
        converter=_whole_number if int in (bare, *typing.get_args(bare)) else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD
        if name in POSITIONAL
        else inspect.Parameter.KEYWORD_ONLY,
        default=field.get_default(),
        # The bare type: the model checks the values, and its errors can be said in one line.
        annotation=Annotated[bare, option, Field(description=field.description)],
    )


def _whole_number(type_: Any, tokens: Sequence[Token]) -> int | str:
    """Returns the whole number that a word stands for, or the word if it may stand there itself.

    Raises:
        ValueError: It is neither.
    """
    word = tokens[0].value
    allowed = [
        each
        for inner in typing.get_args(type_)
        if typing.get_origin(inner) is Literal
        for each in typing.get_args(inner)
    ]
    if word in allowed:
        return word
    try:
        return int(word)
    except ValueError:
        others = "".join(f", nor {each}" for each in allowed)
        raise ValueError(f"{word} is not a whole number{others}.") from None


def _bare(annotation: Any) -> Any:
    """A type without the limits of its values, also inside of a union."""
    if typing.get_origin(annotation) is Annotated:
        return _bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, UnionType):
        return reduce(or_, (_bare(each) for each in typing.get_args(annotation)))
    return annotation


def _is_list(annotation: Any) -> bool:
    """Whether a type is a list, or a list or None."""
    return any(
        typing.get_origin(each) is list for each in (annotation, *typing.get_args(annotation))
    )
