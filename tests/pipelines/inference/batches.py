"""How the batches of tests are predicted."""

from pipelines.config.inference import PredictionSettings

SETTINGS = PredictionSettings(tile=64, overlap=16, batch=2, part_size=64, steps=1, device="cpu")
