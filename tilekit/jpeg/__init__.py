"""Baseline JPEG as a stream of bits: where each MCU begins, and JPEG files cut from those bits.

For `scans` and `tiles`, which ask it for tiles without decoding and for small JPEGs of any window to
decode. It works on bytes and arrays alone, never decodes a pixel, never opens a scan, and answers
"this cannot be cut" with a reason wherever a file is not of the plain kind it knows.
"""
