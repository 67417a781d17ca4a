"""`python -m flows.infer_drive`: see `pipelines.config.InferDrive` for what can be set."""

from flows.command import command
from pipelines.config import InferDrive
from pipelines.inference import infer_drive

if __name__ == "__main__":
    command("infer_drive", InferDrive, infer_drive)
