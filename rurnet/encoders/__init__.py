"""Encoders that networks are built on, and the loading of their ImageNet weights."""
