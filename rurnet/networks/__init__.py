"""The networks of the papers, one file each: tensors in, logits of every step out.

A network is built by its name through `rurnet.registry`.
"""
