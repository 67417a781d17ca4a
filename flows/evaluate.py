"""`python -m flows.evaluate`: see `pipelines.config.Evaluate` for what can be set."""

from flows.command import command
from pipelines.config import Evaluate
from pipelines.evaluation import evaluate

if __name__ == "__main__":
    command("evaluate", Evaluate, evaluate)
