"""Data sets as people have them, and drawn ones, as labelled images for a training.

Knows how folders are laid out; knows no network.
"""
