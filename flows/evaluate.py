"""`python -m flows.evaluate`: see `pipelines.config.evaluation.Evaluate` for what can be set."""

from flows.command import command
from pipelines.config.evaluation import Evaluate
from pipelines.evaluation.run import evaluate

if __name__ == "__main__":
    command("evaluate", Evaluate, evaluate)
