"""Centre lines of masks of any size, as a graph: thinning, tracing, pruning, smoothing.

Nothing here knows what a probability is.
"""
