"""Completion in a shell: describes the commands to cyclopts, which writes and installs a script."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import App
from pydantic import BaseModel

from flows.cli.signature import with_fields
from flows.table import FLOWS

_FILES = ("scenes", "predictions", "model")
"""Fields of strings that may be names of files."""


def install_completion(
    name: str, tools: Mapping[str, tuple[str, Callable[..., Any]]], words: Sequence[str]
) -> None:
    """Installs the completion of a command and exits.

    Args:
        name: Of the command.
        tools: Help and function of each of its commands that is no flow, by name.
        words: Which shell, or where to, as in `--shell bash`.
    """
    app = App(name=name, version_flags=())
    for flow in FLOWS.values():
        app.command(_flow_function(flow.config(), flow.help), name=flow.name, help=flow.help)
    for tool, (help, function) in tools.items():
        app.command(function, name=tool, help=help)
    app.register_install_completion_command()
    app(["--install-completion", *words])


def files(*names: Path) -> None:
    """Stands for a command of which only files are completed."""


def _flow_function(config: type[BaseModel], help: str) -> Callable[..., Any]:
    function = with_fields(config, lambda values: values, help)
    signature = inspect.signature(function)
    # cyclopts completes the names of files for paths only.
    parameters = [
        each.replace(annotation=Annotated[list[Path], *get_args(each.annotation)[1:]])
        if each.name in _FILES
        else each
        for each in signature.parameters.values()
    ]
    vars(function)["__signature__"] = signature.replace(parameters=parameters)
    function.__annotations__ = {each.name: each.annotation for each in parameters}
    return function
