"""The command line: verbs that parse, call the Python API and print; no logic of their own."""
