"""What is said of tiling, before and after: the words of plans, demos, comparisons and reports, and what to expect.

Called by the rooms that plan and judge; it holds the sentences and the recorded recall that they cite, so that no
two of them contradict each other. It never opens a scan, reads labels, or computes a figure of its own pages.
"""
