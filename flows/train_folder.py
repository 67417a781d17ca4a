"""`python -m flows.train_folder`: see `pipelines.config.TrainFolder` for what can be set."""

from flows.command import command
from pipelines.config import TrainFolder
from pipelines.recipes import train_folder

if __name__ == "__main__":
    command("train_folder", TrainFolder, train_folder)
