"""Boxes: structs of arrays, and what is done with them: remap, overlap, suppress, fuse, merge, match.

For every room above, and for users who have boxes of their own. It works with numpy arrays alone, checks them once on
entry, and hands the loops to `boxes.kernels`. It never opens a file or a scan, never looks at a pixel, and gives the
same answer in whatever order boxes or tiles arrive.
"""
