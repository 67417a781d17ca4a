"""`python -m flows.infer_roads`: the flow `infer-roads` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("infer-roads")
