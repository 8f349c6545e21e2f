"""numba only, on bare arrays of bytes and tables: parse entropy-coded JPEG data, and copy its bits."""
