"""Published protocols: which images train and test, what is counted, and who reported what.

Each is data (`published.py`). Training and scoring are those of every other command.
"""
