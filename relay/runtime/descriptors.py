"""How many files and sockets a process may have open.

Owns: the limit of this process.  Must never know: who opens what.
"""

import resource

UNLIMITED = 1 << 20
"""What an unlimited hard limit is taken for: the kernel's own default maximum (`fs.nr_open`)."""


def raise_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; return it.

    Systems start programs with 1024 for the sake of `select`, which nothing here uses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft not in (wanted, resource.RLIM_INFINITY):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def limit_now() -> int:
    """Return how many descriptors this process may have open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft
