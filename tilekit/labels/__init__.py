"""Label files: one module a format, and their checking."""
