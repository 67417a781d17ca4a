"""`python -m flows.train_drive`: see `pipelines.training_config.TrainDrive` for its options."""

from flows.command import command
from pipelines.recipes import train_vessels
from pipelines.training_config import TrainDrive

if __name__ == "__main__":
    command("train_drive", TrainDrive, train_vessels)
