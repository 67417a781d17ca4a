"""`python -m flows.train_drive`: see `pipelines.config.TrainDrive` for what can be set."""

from flows.command import command
from pipelines.config import TrainDrive
from pipelines.recipes import train_vessels

if __name__ == "__main__":
    command("train_drive", TrainDrive, train_vessels)
