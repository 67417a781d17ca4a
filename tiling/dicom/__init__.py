"""DICOM files: how they are recognised and named without saying whose they are, and decoded.

pydicom is imported when a file is opened, not before: most runs meet none.
"""
