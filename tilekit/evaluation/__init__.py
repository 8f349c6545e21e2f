"""Predictions against truth: metrics, thresholds, comparison. `evaluate`, `compare`, `fit_thresholds`."""
