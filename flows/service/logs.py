"""Which lines the log of a run gets: a failure is one line, and not Prefect's frames."""

import logging

_REPEATED = {
    # The scene's own line has said it, with file and remedy.
    "prefect.task_runs": ("Task run failed with state", "Finished in state Failed"),
    # The run has ended with a failed state, as it should: the traceback is Prefect's own.
    "prefect.flow_runs": ("Engine execution exited with unexpected exception",),
    "prefect.engine": ("Execution of flow run",),
}
"""How lines begin that only repeat a failure, by Prefect's loggers."""


class _OneLine(logging.Filter):
    """Leaves out what only repeats a failure of ours."""

    def __init__(self, repeated: tuple[str, ...], errors: tuple[type[BaseException], ...]) -> None:
        super().__init__()
        self._repeated, self._errors = repeated, errors

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if not str(record.msg).startswith(self._repeated):
            return True
        error = record.exc_info[1] if record.exc_info else None
        # `logger.exception` outside of an `except` leaves (None, None, None).
        return error is not None and not isinstance(error, self._errors)


def say_failures_in_one_line(errors: tuple[type[BaseException], ...]) -> None:
    """Keeps what Prefect repeats of failures out of the logs of this process's runs.

    Args:
        errors: Those that say in their message all there is to say.
    """
    for name, repeated in _REPEATED.items():
        logger = logging.getLogger(name)
        if not any(isinstance(each, _OneLine) for each in logger.filters):
            logger.addFilter(_OneLine(repeated, errors))
