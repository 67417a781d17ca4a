"""Trains networks, resumes trainings that were killed, and reports on them at the end.

Only this package imports lightning.
"""
