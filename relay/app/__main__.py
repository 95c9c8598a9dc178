"""`python -m relay.app`: the command line, for processes that start it by module.

Owns: that entry point.  Must never know: a command.
"""

from relay.app.cli import main

main()
