"""Masks: from levels to classes, small regions removed, and overviews that keep thin lines."""
