"""Prefect flows and their command lines: thin, everything below runs without Prefect.

`python -m flows.NAME` runs one; it is a Prefect run only where a Prefect API is configured.
"""

import os

# Read once, when torch is loaded, so it stands before all imports of it. By default its threads
# spin where one waits for another: on a machine that does other work too a training took several
# times as long as with this, which costs a few per cent on an idle one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
