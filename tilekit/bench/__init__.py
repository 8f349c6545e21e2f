"""Benchmarks as a product: paired, interleaved timing of tilekit and of what others use instead."""
