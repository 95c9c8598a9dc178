"""`python -m relay.app`: the command line, for processes that start it by module."""

from relay.app.cli import main

main()
