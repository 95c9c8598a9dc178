"""The passes that tests show at the sockets of workers and recorders.

Owns: constants.  Must never know: a socket.
"""

CONTROL = b"C" * 32
TAP = b"T" * 32
