"""Prefect flows and their command lines: thin, everything below runs without Prefect.

`python -m flows.NAME` runs one; it is a Prefect run only where a Prefect API is configured.
"""
