"""Networks for other programs: as ONNX, as a torch program and as a MONAI bundle.

`rurnet export WEIGHTS NAME`, where the end of the name says which. All three take images of any
batch size, height and width, and include the normalisation:

- input `image`, float32 [B, bands, H, W]: pixels on the 8-bit scale, 0 to 255. Set missing pixels
  to the mean of the training images (`mean` in the metadata).
- output `probability`, float32 [B, foreground classes, H, W], 0 to 1, after the last step.
- metadata `rurnet`: the metadata of the weights as JSON; `steps`: the number of steps; `digest`:
  the start of the weights file's SHA-256.

A file gets its name only after it was compared with our own prediction of a tile: see `check.py`.
"""
