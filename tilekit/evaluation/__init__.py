"""Predictions against truth: matching, metrics with intervals, thresholds, comparison of two ways to detect.

For users, `report`, `demo` and `cli`. It takes pages of labels and of detections and gives figures that say how sure
they are. It never opens a scan or a model, never fits and judges on the same pages without saying so, and counts
ignored regions neither way.
"""
