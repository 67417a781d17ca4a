"""What runs with Prefect: the flows, their deployments, and the server that they need.

May import `flows.cli`, which must not import anything from here.
"""
