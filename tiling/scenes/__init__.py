"""Where pixels come from: readers of files, and scenes made from other scenes.

Anything with a size, bands and windows to read is a scene (`tiling.scenes.scene.Scene`).
"""
