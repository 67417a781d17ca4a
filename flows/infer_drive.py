"""`python -m flows.infer_drive`: the flow `infer-drive` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("infer-drive")
