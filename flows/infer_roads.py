"""`python -m flows.infer_roads`: see `pipelines.config.InferRoads` for what can be set."""

from flows.command import command
from pipelines.config import InferRoads
from pipelines.inference import infer_roads

if __name__ == "__main__":
    command("infer_roads", InferRoads, infer_roads)
