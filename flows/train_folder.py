"""`python -m flows.train_folder`: the flow `train-folder` of `flows.table`."""

from flows.command import run_module

if __name__ == "__main__":
    run_module("train-folder")
