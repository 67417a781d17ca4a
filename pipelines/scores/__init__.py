"""Counts of pixels, and every score that is taken from them.

Arrays in, numbers out: nothing here opens a file or knows a network.
"""
