"""`python -m flows.evaluate`: the flow `evaluate` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("evaluate")
