"""HTML report and page viewer."""
