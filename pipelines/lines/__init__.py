"""Roads as lines: from the rasters of a scene to layers for a GIS."""
