"""Loops over bare arrays of pixels, compiled under `tilekit.compiled`: boxes of whole pixels averaged.

For `scans` only, which checks what goes in. A kernel is serial, allocates nothing, raises nothing and never reads past
what it was given; it imports no room but this one, and knows nothing of files or scans.
"""
