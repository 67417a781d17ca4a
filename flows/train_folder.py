"""`python -m flows.train_folder`: see `pipelines.training_config.TrainFolder` for its options."""

from flows.command import command
from pipelines.recipes import train_folder
from pipelines.training_config import TrainFolder

if __name__ == "__main__":
    command("train_folder", TrainFolder, train_folder)
