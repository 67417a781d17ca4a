"""`python -m flows.train_drive`: see `pipelines.config.training.TrainDrive` for its options."""

from flows.command import command
from pipelines.config.training import TrainDrive
from pipelines.training.run import train_vessels

if __name__ == "__main__":
    command("train_drive", TrainDrive, train_vessels)
