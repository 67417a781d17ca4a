"""Encoders with ImageNet weights: their layers, and how the weights are loaded."""
