"""`python -m flows.infer_roads`: its options are `pipelines.config.inference.InferRoads`."""

from flows.command import command
from pipelines.config.inference import InferRoads
from pipelines.inference.run import infer_roads

if __name__ == "__main__":
    command("infer_roads", InferRoads, infer_roads)
