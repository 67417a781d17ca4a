"""`python -m flows.train_drive`: the flow `train-drive` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("train-drive")
