"""One operation, as it is entered in the journal.

Owns: its fields, and which operations need a motive.  Must never know: how it is stored, hashed or read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """The five operations of R241-5 / R241-14, transfers (R241-11 V), and the operations that LIL 99 adds."""

    COLLECTE = "collecte"
    MODIFICATION = "modification"
    CONSULTATION = "consultation"
    COMMUNICATION = "communication"
    EFFACEMENT = "effacement"
    TRANSFERT = "transfert"
    REFUS = "refus"
    CONNEXION = "connexion"
    HABILITATION = "habilitation"
    CONFIGURATION = "configuration"
    SYSTEME = "systeme"


NEED_MOTIVE = frozenset({Operation.CONSULTATION, Operation.COMMUNICATION})


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation.  Never media, never a face, never a token or an address (JRN-05)."""

    operation: Operation
    author: str
    role: str
    motive: str = ""
    object_type: str = ""
    object_id: str = ""
    recipients: Sequence[str] = ()
    result: str = "ok"
    details: Mapping[str, str | int | bool | None] = field(default_factory=dict)
