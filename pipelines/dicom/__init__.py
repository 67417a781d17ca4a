"""DICOM files of results: a segmentation and a structured report of a photograph.

highdicom is imported when a file is written, not before. May import what lies below inference.
"""
