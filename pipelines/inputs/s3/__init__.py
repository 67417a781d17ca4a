"""Object stores that speak S3: their client, and the scenes under a prefix.

Scenes are read by GDAL, which needs nothing else. boto3 is imported where it is needed: it is an
extra.
"""
