"""`python -m tilekit`: the command line of this interpreter's tilekit, where the command is not on the path."""

from tilekit.cli import main

if __name__ == "__main__":
    main()
