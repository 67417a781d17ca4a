"""What can be configured: one pydantic model per flow.

Its fields are the Prefect parameters, the command line options and the JSON kept with a result.
Defaults stand here and nowhere else. Imports nothing else of the package.
"""
