"""The parts of a command line: options, progress, the printed result, the end of the process.

Knows nothing of Prefect; `flows.service` takes parameters and log lines from here.
"""
