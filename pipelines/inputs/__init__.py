"""From what a user names to scenes, labels and fields of view that can be read.

Knows no network and no result.
"""
