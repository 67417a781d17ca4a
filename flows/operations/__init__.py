"""Commands of operators that are no flows: deployments in a pool, notifications, clusters.

Each module is a command: a function with its options. `tool.py` runs one.
"""
