"""`python -m resjax NAME` is the console command `resjax NAME`."""

from resjax.cli.console import main

if __name__ == "__main__":
    main()
