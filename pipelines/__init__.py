"""Where networks and scenes meet: data sets, weights, training, prediction, scores, reports.

Runs without Prefect. `pipelines.predict` imports neither lightning, monai, dask nor
matplotlib, so that a worker that only predicts starts fast.
"""
