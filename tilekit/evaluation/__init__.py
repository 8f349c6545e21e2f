"""Metrics, thresholds, comparison."""
