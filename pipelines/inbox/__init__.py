"""Jobs over a folder that grows: which scenes were seen, what came of them, and what is left to do.

Knows of no network: `rurnet status` reads the ledger without loading torch.
"""
