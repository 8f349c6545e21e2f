"""Kernels as machine code that starts at once: the two decorators under which every kernel is written.

For rooms of kernels only (`boxes.kernels`, `jpeg.kernels`, `scans.kernels`), which are numba on bare arrays. A kernel is compiled once
by numba into an object that needs nothing but the interpreter, shipped in the wheel or kept in the user's cache as a
shared library, and loaded in well under a millisecond without importing numba or llvmlite (a bare object, made where
no linker was, is linked by llvmlite). An object is used only where what it says of itself proves
that it was made from exactly these sources, for this interpreter and for what this processor can do; elsewhere numba
compiles. It knows nothing of what kernels compute, imports no room but `errors`, and never changes an answer: a
kernel computes the same however it was loaded.
"""

from tilekit.compiled.decorators import inlined, kernel
from tilekit.compiled.packages import is_ready, prepare

__all__ = ["inlined", "is_ready", "kernel", "prepare"]
