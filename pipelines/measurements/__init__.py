"""Measurements of what was predicted: lengths, widths, vessels, and where it is least certain.

Masks and probabilities in, numbers out: nothing here needs a label or knows a report.
"""
