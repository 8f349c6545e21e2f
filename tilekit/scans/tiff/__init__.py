"""TIFF: what its directories are, where its blocks lie, and how libvips is shown them.

Opened through `open_scan`; `tiles` and whoever cuts stored blocks ask `Scan.blocks()`. It never guesses a
page from the order of directories, and never hands libvips a tag that was not checked here.
"""
