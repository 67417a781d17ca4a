"""The networks of the papers, one file each: tensors in, logits of every step out.

`rurnet.registry` builds them by name.
"""
