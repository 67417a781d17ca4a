"""Prefect flows and command lines: thin, everything below runs without Prefect.

`flows.table` lists the flows. `rurnet NAME` and `python -m flows.NAME` run one; it is a Prefect
run only where a Prefect API is configured. Importing this package has no side effect.
"""
