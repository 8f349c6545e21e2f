"""`python -m tilekit.cli`."""

from tilekit.cli import main

main()
