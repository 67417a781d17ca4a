"""The machine: devices, threads, memory, and the processes of a training.

Nothing here depends on scenes or networks.
"""
