"""Files as scenes: which reader opens a file, and what GDAL or tifffile say of its bands."""
