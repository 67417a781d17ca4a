"""`python -m flows.train_folder`: see `pipelines.config.training.TrainFolder` for its options."""

from flows.command import command
from pipelines.config.training import TrainFolder
from pipelines.training.run import train_folder

if __name__ == "__main__":
    command("train_folder", TrainFolder, train_folder)
