"""What a command sets in its own process: threads that wait quietly, and an orderly end."""

import atexit
import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

_HERE = datetime.now()

_ORDERLY_EXIT_S = 10
"""How long a stopped command may take to end in order; then it is ended at once."""


def let_threads_wait_quietly() -> None:
    """Makes torch's threads sleep while they wait; to be called before torch is imported.

    torch reads the setting once, when it is loaded. By default its threads spin while they wait
    for each other: on a machine with other work, a training then took several times as long. On
    an idle machine the quiet way costs a few per cent. A user's own setting is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def began() -> datetime:
    """When this process began, in local time: on a busy machine that is long before its work.

    Where the system does not tell, it is when this module was imported.
    """
    try:
        after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2]
        ticks = int(after_name.split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        return _HERE
    return datetime.now() - timedelta(seconds=age)


def let_readers_be_quiet() -> None:
    """Silences the loggers of the readers: what they complain of is raised as an error of ours.

    Their lines would also show the secrets in a URL.
    """
    import logging  # It has an exit handler: not to be there before it is wanted.

    for name in ("rasterio", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class OrderlyEnd:
    """Lets SIGTERM interrupt the command, and ends the process of a stopped command in time.

    To be made before the work's libraries are imported: exit handlers are called last in, first
    out, so that ours comes after theirs.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        atexit.register(self._leave)
        # Lightning's own handler would end a training as if all had gone well.
        signal.signal(signal.SIGTERM, _interrupt)

    def stopped(self, status: int) -> None:
        """Notes that the command was stopped, and with which exit status it must end."""
        self._status = status
        # Threads of the interrupted work may take long, and an orderly exit waits for them.
        limit = threading.Timer(_ORDERLY_EXIT_S, os._exit, (status,))
        limit.daemon = True
        limit.start()

    def _leave(self) -> None:
        """Ends a stopped command once all others have let go of what they held.

        Python's own clean-up would destroy what threads of the interrupted work still use: that
        took half a minute, or crashed in those threads.
        """
        if self._status is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._status)


def _interrupt(number: int, _: Any) -> None:
    raise KeyboardInterrupt(number)
