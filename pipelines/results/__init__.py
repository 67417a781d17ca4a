"""What a run leaves: the files of a scene, their pixels as levels, what came of each scene.

Knows neither what predicted nor how it is shown.
"""
