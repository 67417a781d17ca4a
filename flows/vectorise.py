"""`python -m flows.vectorise`: the flow `vectorise` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("vectorise")
