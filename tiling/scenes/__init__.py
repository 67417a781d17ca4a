"""Where pixels come from: scenes, and scenes made from other scenes.

Anything with a size, bands and windows to read is a scene (`tiling.scenes.scene.Scene`). Those that
are files have readers (`tiling.readers`).
"""
