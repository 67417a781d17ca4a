"""`python -m flows.infer_drive`: its options are `pipelines.config.inference.InferDrive`."""

from flows.command import command
from pipelines.config.inference import InferDrive
from pipelines.inference.run import infer_drive

if __name__ == "__main__":
    command("infer_drive", InferDrive, infer_drive)
