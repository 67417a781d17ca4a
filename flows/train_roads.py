"""`python -m flows.train_roads`: see `pipelines.config.training.TrainRoads` for its options."""

from flows.command import command
from pipelines.config.training import TrainRoads
from pipelines.training.run import train_roads

if __name__ == "__main__":
    command("train_roads", TrainRoads, train_roads)
