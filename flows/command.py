"""From a configuration model to a command line and a function's parameters."""

import inspect
import logging
import os
import signal
import sys
import threading
import tomllib
import typing
from collections.abc import Callable, Sequence
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, CycloptsError, Parameter
from pydantic import BaseModel, Field, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows import stopped
from flows.errors import FlowsError, ScenesFailedError
from flows.progress import BarProgress, LogProgress
from pipelines.errors import PipelineError
from pipelines.report.columns import TERMINAL
from pipelines.report.table import rows
from pipelines.results.estimate import SceneEstimate
from pipelines.results.progress import Progress
from pipelines.results.report import Comparison
from pipelines.results.result import Result
from rurnet.errors import RurnetError
from tiling.errors import TilingError

Config = TypeVar("Config", bound=BaseModel)
Run = Callable[[Config, Progress], Result]

OWN_ERRORS = (PipelineError, TilingError, RurnetError, FlowsError)
"""Errors whose message says it all: they are printed in one line, without a traceback."""

_POSITIONAL = ("scenes", "predictions")
"""Fields that take what stands on a command line without an option's name."""

_ORDERLY_EXIT_S = 10
"""How long a stopped command may take to leave in order; then it is gone."""


def with_fields(config: type[Config], body: Callable[[Config], Any]) -> Callable[..., Any]:
    """A function with a model's fields as its parameters, which calls `body` with the model.

    Prefect and cyclopts both read parameters from a signature, so one model serves both.
    """

    def function(*positional: Any, **named: Any) -> Any:
        bound = signature.bind(*positional, **named)
        return body(config(**bound.arguments))

    parameters = []
    # What follows an option with several values would be taken for one more of them.
    several = not any(name in config.model_fields for name in _POSITIONAL)
    for name, field in config.model_fields.items():
        option = Parameter(
            help=field.description,
            negative_iterable=(),
            consume_multiple=several and _is_list(field.annotation),
        )
        # The type alone: values are checked by the model, which knows how to say it in a line.
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if name in _POSITIONAL
                else inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(),
                annotation=Annotated[
                    field.annotation, option, Field(description=field.description)
                ],
            )
        )
    signature = inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind))
    vars(function)["__signature__"] = signature
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = config.__doc__
    return function


def _is_list(annotation: Any) -> bool:
    """Whether a type is a list, or a list or None."""
    return any(
        typing.get_origin(each) is list for each in (annotation, *typing.get_args(annotation))
    )


def command(name: str, config: type[Config], run: Run[Config]) -> None:
    """Runs a command line to its end and exits.

    The exit status is 0 when all went well, 1 when something failed (said on standard error in
    one line each), 2 when the options were wrong, 130 when it was interrupted and 143 when it was
    terminated (SIGTERM).

    Args:
        name: Of the module: `python -m flows.NAME`.
        config: What can be configured.
        run: What the command does.
    """
    app = App(name=f"python -m flows.{name}", help=config.__doc__, version_flags=())
    app.default(with_fields(config, lambda values: values))
    errors = Console(stderr=True)
    try:
        values = app(exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(errors, f"{error} See python -m flows.{name} --help")
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            option = (
                "--" + str(problem["loc"][0]).replace("_", "-") + ": " if problem["loc"] else ""
            )
            said = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "string_pattern_mismatch":
                # A regular expression says less than the examples in the description.
                wanted = config.model_fields[str(problem["loc"][0])].description or ""
                said = f"{problem['input']!r} is not what it takes: {wanted.rstrip('.')}"
            _say(errors, f"{option}{said}. See python -m flows.{name} --help")
        sys.exit(2)
    if not isinstance(values, config):
        sys.exit(0)  # --help was printed.
    # Else Lightning ends a training as if all had gone well.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        status = _run(name, values, run, errors)
    except KeyboardInterrupt as stop:
        afresh = " without --overwrite" if getattr(values, "overwrite", False) else ""
        _say(errors, f"stopped; the same command{afresh} goes on from what is there")
        status = 128 + (stop.args[0] if stop.args else signal.SIGINT)
        stopped.append(status)
        # Threads of what it broke off may take long to end, and an orderly exit waits for them.
        limit = threading.Timer(_ORDERLY_EXIT_S, os._exit, (status,))
        limit.daemon = True
        limit.start()
    sys.exit(status)


def _terminated(number: int, _: Any) -> None:
    """Ends what is running as an interrupt does."""
    raise KeyboardInterrupt(number)


def prefect_is_configured() -> bool:
    """Whether a Prefect API is set in the environment or in the active profile.

    Read without importing Prefect, which takes seconds and would start a server of its own.
    """
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")).expanduser()
    try:
        content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return False
    active = os.environ.get("PREFECT_PROFILE", content.get("active", ""))
    return "PREFECT_API_URL" in content.get("profiles", {}).get(active, {})


def summary(result: Result) -> Table:
    """A run's scores as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scene")
    for title in TERMINAL:
        table.add_column(title, justify="right")
    for name, scores in rows(result.report):
        cells = (scores.get(path) for path in TERMINAL.values())
        table.add_row(escape(name), *(_shown(cell, "") for cell in cells))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """How a second run differs from a first, with the 95 % interval of the difference."""
    table = Table(box=None, pad_edge=False)
    table.add_column()
    for title in ("A", "B", "B - A, pooled", "B - A, mean of scenes"):
        table.add_column(title, justify="right", no_wrap=True)
    by_path = {row.column: vars(row) for row in comparison.rows}
    for title, path in TERMINAL.items():
        if (row := by_path.get(path)) is not None:
            table.add_row(
                title,
                *(_shown(row[key], "") for key in ("a", "b")),
                *(
                    _shown(row[value])
                    + ("" if row[low] is None else f" ({row[low]:+.3f} to {row[high]:+.3f})")
                    for value, low, high in (
                        ("difference", "low", "high"), ("mean", "mean_low", "mean_high"),
                    )
                ),
            )  # fmt: skip
    return table


def _shown(value: float | None, sign: str = "+") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"


def estimate_table(estimates: Sequence[SceneEstimate]) -> Table:
    """What there is to do, a line per scene that can be read."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scene")
    for title in ("size", "tiles", "parts", "done twice", "memory", "disk", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in estimates:
        if one.error is None:
            table.add_row(
                escape(one.name),
                f"{one.width} x {one.height}",
                str(one.tiles),
                str(one.parts),
                f"{one.redundant:.1%}",
                f"{one.memory / 1e9:.1f} GB",
                f"{one.disk / 1e9:.2f} GB",
                str(timedelta(seconds=ceil(one.seconds))),
            )
    return table


def _run(name: str, values: Any, run: Run[Any], errors: Console) -> int:
    try:
        if prefect_is_configured():
            from flows.deployments import FLOWS

            result = FLOWS[name.replace("_", "-")](**values.model_dump())
        else:
            result = run_directly(values, run, errors)
    except ScenesFailedError as error:
        _print(error.result)
        for failure in error.result.failed:
            _say(errors, failure.error)
        return 1
    except OWN_ERRORS as error:
        _say(errors, str(error))
        return 1
    _print(result)
    return 0


def run_directly(values: Any, run: Run[Any], errors: Console) -> Result:
    """Without Prefect: no server starts, no port opens."""
    # Their complaints come again, as our errors.
    for name in ("rasterio", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if errors.is_terminal:
        with BarProgress(errors) as bar:
            return checked(run(values, bar))
    logger = logging.getLogger("rurnet")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        lines = logging.StreamHandler(errors.file)
        lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(lines)
    with LogProgress(logger) as log:
        return checked(run(values, log))


def checked(result: Result) -> Result:
    """The result, where every scene went well.

    Raises:
        ScenesFailedError: One did not.
    """
    if result.failed:
        raise ScenesFailedError(result)
    return result


def _print(result: Result) -> None:
    out = Console(soft_wrap=True, highlight=False)
    report = result.report
    if result.estimates is not None:
        out.print(estimate_table(result.estimates))
        measured = max((one.measured for one in result.estimates), default=0)
        out.print(
            f"Memory and disk at most; time of one process, from {measured} measured tiles. "
            "Nothing was written."
        )
        return
    if report.scenes:
        out.print(summary(result))
    elif not result.failed:
        out.print("No scene to predict: the inbox is empty.")
    if (comparison := report.comparison) is not None:
        out.print(f"\nA: {comparison.a}\nB: {comparison.b}\n", markup=False)
        out.print(comparison_table(comparison))
        if comparison.unlike:
            unlike = ", ".join(comparison.unlike)
            out.print(f"A and B do not count the same pixels of: {unlike}", markup=False)
        if comparison.unpaired:
            out.print(f"Not in both: {', '.join(comparison.unpaired)}", markup=False)
    if report.scenes and report.pooled is None:
        out.print("No scene has a label of its name (--labels), so no score is possible.")
    elif unscored := [scene.name for scene in report.scenes if scene.scores is None]:
        out.print(f"Without a label, and so without scores: {', '.join(unscored)}", markup=False)
    for path in result.trained:
        out.print(f"weights: {path}", markup=False)
    out.print(f"report: {result.folder / 'report.html'}", markup=False)


def _say(errors: Console, text: str) -> None:
    """One line on standard error, whatever is in the text."""
    errors.print(f"error: {' '.join(text.split())}", markup=False, highlight=False, soft_wrap=True)
