"""The machine: devices, threads, memory, and the processes of a training.

Knows no scene, no network and no setting.
"""
