"""The command line of a function that is no flow, from the words typed to the exit status."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from cyclopts import App
from rich.console import Console

from flows.cli.direct import OWN_ERRORS
from flows.service.api import no_server


def run_tool(function: Callable[..., None], called: str, words: Sequence[str]) -> NoReturn:
    """Runs a function with the options that were typed, and exits.

    The exit status is 0 if all went well or the command was interrupted, and 1 if it was refused,
    with one line on standard error.

    Args:
        function: Its parameters are the options, its docstring is the help.
        called: How the command is typed.
        words: What was typed after that.
    """
    app = App(
        name=called, version_flags=(), help_format="plaintext", suppress_keyboard_interrupt=False
    )
    app.default(function)
    try:
        app(words)
    except OWN_ERRORS as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # Who reads what is printed has read enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # An error of httpx, which few tools import.
        if (said := no_server(error)) is None:
            raise
        Console(stderr=True).print(f"error: {said}", markup=False, soft_wrap=True)
        sys.exit(1)
    sys.exit(0)
