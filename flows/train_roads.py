"""`python -m flows.train_roads`: see `pipelines.training_config.TrainRoads` for its options."""

from flows.command import command
from pipelines.recipes import train_roads
from pipelines.training_config import TrainRoads

if __name__ == "__main__":
    command("train_roads", TrainRoads, train_roads)
