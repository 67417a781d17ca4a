"""Prefect flows and their command lines: thin, everything below runs without Prefect.

`python -m flows.NAME` runs one; it is a Prefect run only where a Prefect API is configured.
"""

import atexit
import os
import sys

stopped: list[int] = []
"""The exit status of a command that was stopped, once it is known."""


@atexit.register  # Before all others are, and so called after them.
def _leave() -> None:
    """Ends a stopped command when all else has let go of what it held.

    Python's own end would take down what threads of the broken-off work still use: that took half a
    minute or ended in a crash of theirs.
    """
    if stopped:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stopped[0])


# Read once, when torch is loaded, so it stands before all imports of it. By default its threads
# spin where one waits for another: on a machine that does other work too a training took several
# times as long as with this, which costs a few per cent on an idle one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
