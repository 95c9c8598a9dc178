"""How often an address may ask at the front doors, and who is not counted by his address.

Owns: the allowances at one door, and which credentials proved themselves lately.  Must never know: requests, what a credential
opens; any clock but the `now` it is given.

Mobile networks and command rooms have many people and cameras behind one address.  If all requests from there had one
allowance, a stranger among them could use it up, and no camera there could publish.  So a credential that was right before (a
camera's token, a sign-in, the cookie of a known browser) has an allowance of its own, at any address.  Everything else that
comes from an address shares the address's.

A credential is right where a request with it was admitted; a wrong or new one counts with the strangers.
"""

from collections import OrderedDict

from relay.base.ids import token_digest
from relay.http.limits import Buckets

MAX_PROVED = 10_000
"""Holders whose credentials are remembered; the one that proved itself longest ago is forgotten first."""
PER_HOLDER = 16
"""Credentials of one person or camera: eight sign-ins and as many browsers."""


class Proofs:
    """Credentials that proved themselves, by digest; each holder pushes out only its own."""

    def __init__(self) -> None:
        self._holders: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._proved: dict[str, str] = {}
        """Digest -> its holder."""

    def __len__(self) -> int:
        return len(self._proved)

    def add(self, holder: str, credential: str) -> None:
        """Note that a holder (a person's name, or `camera:NAME`) proved itself with a credential."""
        digest = token_digest(credential)
        if self._proved.get(digest, holder) != holder:
            return
        mine = self._holders.setdefault(holder, OrderedDict())
        self._holders.move_to_end(holder)
        self._proved[digest] = holder
        mine[digest] = None
        mine.move_to_end(digest)
        if len(mine) > PER_HOLDER:
            del self._proved[mine.popitem(last=False)[0]]
        if len(self._holders) > MAX_PROVED:
            for each in self._holders.popitem(last=False)[1]:
                del self._proved[each]

    def find(self, credential: str | None) -> str | None:
        """Return the digest of a credential that proved itself, None for any other."""
        digest = token_digest(credential) if credential else None
        return digest if digest in self._proved else None


class Door:
    """One door: `rate` requests a second and `burst` at once, of an address or of a proved credential."""

    def __init__(self, rate: float, burst: int, proofs: Proofs) -> None:
        self._proofs = proofs
        self._strangers = Buckets(rate, burst)
        self._proved = Buckets(rate, burst)

    def take(self, source: str, credential: str | None, now: float) -> float:
        """Take one request; return 0 where it was there, else the seconds until it is."""
        digest = self._proofs.find(credential)
        return self._strangers.take(source, now) if digest is None else self._proved.take(digest, now)
