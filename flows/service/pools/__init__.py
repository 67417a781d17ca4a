"""Work pools: how the workers of each kind start a run, and the pool on the server.

May import `flows.service`'s other modules; only `flows.deploy` imports this.
"""
