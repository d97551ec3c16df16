"""`python -m graph_metamers` is the command `graph-metamers`."""

import sys

from graph_metamers.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
