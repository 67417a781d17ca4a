"""Configurations: one pydantic model per flow.

Its fields are the Prefect parameters, the command line options and the JSON kept with a result.
Defaults are defined here and nowhere else. Nothing else of the package is imported.
"""
