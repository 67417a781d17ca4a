"""Other processes that compute parts: workers of a Dask cluster, or one on another GPU."""
