"""Training crops: where they are cut from, how they are drawn and augmented.

Knows no network and no data set.
"""
