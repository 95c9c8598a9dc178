"""Vectors of format version 3: media that was received and not recorded, recovery points, corrected clocks."""

from tests.evidence.vectors import Files, Vector, chain_order, exported, flip_record, nothing, stored
from tests.support.recordings import RECORDING_KEY, Built


def called_version_2(_: Built, files: Files) -> None:
    """Pass a chain of version 3 off as one of version 2."""
    files["chain"] = b"BCRCHAIN\0\2" + files["chain"][10:]


VECTORS: list[Vector] = [
    Vector("received and not recorded", "SIPPnPPE", nothing, ".....", "SMPC", "not_recorded@3"),
    Vector("received and not recorded until the end", "SIPPnE", nothing, "...", "SMPC", "not_recorded@3"),
    Vector("received and not recorded, outside the interval", "SIPPnPPE", exported(None, 3, 4), ".--..", "IVPC"),
    Vector("a track that began later", "SIPPlPPE", nothing, ".....", "SCPC"),
    Vector("pictures from a recovery point on", "SIpPPE", nothing, "...", "ICPC", recording_key=RECORDING_KEY),
    Vector("a recovery point after a gap", "SIPPGpPE", nothing, "....", "SCPC"),
    Vector("a recovery point explains no hole", "SIPPhpPE", nothing, "....", "SMPC", "gap_unexplained@3"),
    Vector("a declared silence", "SIPPsVVVPVVVVPVVVPE", nothing, "." * 16, "SCPC"),
    Vector("a silence that nobody declared", "SIPPVVVPE", nothing, "." * 7, "SMPC", "gap_unexplained@6"),
    Vector("a silence explains no picture", "SIPPsAAAPE", nothing, "." * 7, "SMPC", "gap_unexplained@6"),
    Vector("a silence that another gap ended", "SIPPsVVVPtVVVPE", nothing, "." * 11, "SMPC", "gap_unexplained@10"),
    Vector("a silence that a gap of all tracks does not end", "SIPPsVVVPGPVVVPE", nothing, "." * 12, "SCPC"),
    Vector("a corrected clock", "SIPPCPPCE", nothing, ".....", "SCPC"),
    Vector("a corrected clock, exported", "SIPPCPPCE", exported(), ".....", "ICPC"),
    Vector("a corrected clock, an interval", "SIPPCPPCE", exported(None, 2, 3), ".-..-", "IVPC"),
    Vector("a correction left out", "SIPPCPPE", stored(chain_order(0, 1, 2, 3, 5, 6, 7)), ".....", "SMPC", "records_missing@3"),
    Vector("a correction altered", "SIPPCPPE", stored(flip_record(4, 44)), ".....", "ACPC", "record_altered"),
    Vector(
        "a chain of version 3 called version 2",
        "SIPPCE",
        stored(called_version_2),
        "???",
        "AMNN",
        "record_altered chain_unreadable no_start interrupted",
    ),
]
