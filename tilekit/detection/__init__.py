"""Detectors run over scans: `detect_tiles`, `detect_whole`, and many scans to one file."""
