"""Loops over bare arrays of bytes and tables, compiled under `tilekit.compiled`: JPEG data parsed, its bits copied.

For `jpeg` only, which checks what goes in. A kernel is serial, allocates nothing, raises nothing and never reads past
what it was given; it imports no room but this one, and knows nothing of files, scans or tiles.
"""
