"""Readers: open_scan and one file a family of formats; encoding of tiles."""
