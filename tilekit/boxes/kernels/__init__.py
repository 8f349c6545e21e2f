"""Loops over bare arrays of boxes, compiled under `tilekit.compiled`: sort, pair, suppress, carry, fuse, settle.

For the modules of `boxes` only, which check what goes in. A kernel is serial, allocates nothing, raises nothing and
has a slow twin in `tests/naive.py`; it imports no room but this one, and knows nothing of classes, files or tiles.
"""
