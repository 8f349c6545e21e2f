"""Tiles: read, encode, write, join, name, index."""
