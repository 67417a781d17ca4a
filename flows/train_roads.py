"""`python -m flows.train_roads`: see `pipelines.config.TrainRoads` for what can be set."""

from flows.command import command
from pipelines.config import TrainRoads
from pipelines.recipes import train_roads

if __name__ == "__main__":
    command("train_roads", TrainRoads, train_roads)
