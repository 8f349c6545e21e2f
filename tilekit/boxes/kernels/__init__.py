"""numba kernels on bare arrays; they know nothing above them."""
