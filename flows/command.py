"""The command line of a flow, from the words that were typed to the exit status."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

# Looks through all installed packages for plugins of pydantic otherwise.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from cyclopts import App, CycloptsError
from pydantic import BaseModel, ValidationError
from rich.console import Console

from flows.cli.process import OrderlyEnd, began, let_threads_wait_quietly
from flows.cli.signature import option_of, with_fields, wrong_values
from flows.service.api import prefect_is_configured
from flows.table import FLOWS, FlowEntry
from pipelines.config.inference import TimeSettings

if TYPE_CHECKING:
    from pipelines.results.result import Result


def run_module(name: str) -> NoReturn:
    """Runs the flow of that name as `python -m flows.NAME`, which spells it with underscores."""
    command(FLOWS[name], f"python -m flows.{name.replace('-', '_')}", sys.argv[1:])


def command(flow: FlowEntry[Any], called: str, words: Sequence[str]) -> NoReturn:
    """Runs a flow's command line to its end and exits.

    The exit status is 0 if all went well, 1 if something failed (each failure is one line on
    standard error), 2 if an option was wrong, 130 if the command was interrupted and 143 if it was
    terminated (SIGTERM).

    Args:
        flow: What to run.
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    errors = Console(stderr=True)
    values = _options(flow, called, words, errors)
    let_threads_wait_quietly()
    end = OrderlyEnd()
    try:
        status = _run(flow, values, errors)
    except KeyboardInterrupt as stop:
        afresh = " without --overwrite" if getattr(values, "overwrite", False) else ""
        _say(errors, f"stopped; the same command{afresh} goes on from what is there")
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        end.stopped(status)
    sys.exit(status)


def _options(flow: FlowEntry[Any], called: str, words: Sequence[str], errors: Console) -> BaseModel:
    """Returns the options; exits if one is wrong, or if only help was asked for."""
    config: type[BaseModel] = flow.config()
    app = App(name=called, help=flow.help, version_flags=(), help_format="plaintext")
    app.default(with_fields(config, lambda values: values, flow.help))
    try:
        values = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(errors, f"{error} See {called} --help")
        sys.exit(2)
    except ValidationError as error:
        for field, said in wrong_values(error, config):
            option = "" if field is None else option_of(field) + ": "
            _say(errors, f"{option}{said}. See {called} --help")
        sys.exit(2)
    if isinstance(values, config):
        return values.since(began()) if isinstance(values, TimeSettings) else values
    sys.exit(0)  # --help was printed.


def _run(flow: FlowEntry[Any], values: BaseModel, errors: Console) -> int:
    """Runs the flow, prints what came of it and returns the exit status."""
    # Imported here, or when there is a result: --help and a wrong option need not wait for them.
    from flows.cli.direct import OWN_ERRORS, run_directly
    from flows.errors import ScenesFailedError

    try:
        if prefect_is_configured():
            from flows.service.deployments import run_as_prefect

            result = run_as_prefect(flow.name, values)
        else:
            result = run_directly(flow, values, errors)
    except ScenesFailedError as error:
        _print(error.result)
        from pipelines.results.failure import said_once

        for line in said_once(error.result.failed):
            _say(errors, line)
        return 1
    except OWN_ERRORS as error:
        _say(errors, str(error))
        return 1
    _print(result)
    return 0


def _print(result: "Result") -> None:
    """Prints what came of a run; a dry run loads nothing that reports need."""
    if result.built is None:
        from flows.cli.estimated import print_dry_run

        print_dry_run(result)
    else:
        from flows.cli.printed import print_result

        print_result(result)


def _say(errors: Console, text: str) -> None:
    """Prints an error in one line, whatever is in the text, without what is secret in it."""
    from tiling.scenes.names import without_secrets

    said = without_secrets(" ".join(text.split()))
    errors.print(f"error: {said}", markup=False, highlight=False, soft_wrap=True)
