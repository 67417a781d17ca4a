"""Workers of a Dask cluster: the client, what all workers must have in common, the parts."""
