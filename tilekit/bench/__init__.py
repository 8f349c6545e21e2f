"""Benchmarks as a product: paired, interleaved timing of tilekit and of what others use, on a user's own scans.

For `tilekit bench` and the suites in `benchmarks/`. Peers are imported only when they are measured and left out when
they are not installed. It never reports a time without its peer from the same run, and nothing of the library calls
it.
"""
