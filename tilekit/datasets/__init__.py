"""Tiled datasets: splits, tiling, decoys, planning."""
