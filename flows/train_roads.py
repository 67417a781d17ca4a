"""`python -m flows.train_roads`: the flow `train-roads` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("train-roads")
