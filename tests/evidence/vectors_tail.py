"""The end of a recording whose recorder died: what its recovery says of the tail, and what a forger does about it.

The columns are those of `tests.evidence.vectors`.
"""

from typing import Any

from tests.evidence.vectors import (
    Files,
    Tamper,
    Vector,
    append_record,
    both,
    chain_order,
    cut_records,
    exported,
    flip_text,
    forged_recovery,
    raw_records,
    recovery_at,
    stored,
)
from tests.support.recordings import Built, build

DIED = "the recorder's process died"
MISSING = "; tail missing: 31 records, 29 fragments, 12.0 s"


def recovered(cause: str) -> Any:
    """Replace the end by a genuine recovery with this cause."""
    return both(cut_records(1), append_record(recovery_at(10, cause), "recovery session"))


def without_the_recovery(built: Built, files: Files) -> None:
    both(recovered(DIED + MISSING), cut_records(1))(built, files)


def with_a_recovery_of_his_own(built: Built, files: Files) -> None:
    both(without_the_recovery, append_record(forged_recovery, "recovery session"))(built, files)


def without_the_phrase(built: Built, files: Files) -> None:
    """The same bytes but one: the phrase is not the phrase any more."""
    both(recovered(DIED + MISSING), flip_text(-1, "; tail missing"))(built, files)


def with_the_recovery_of_an_earlier_cut(built: Built, files: Files) -> None:
    """A genuine recovery of the same recording, cut off before more was sealed."""
    earlier = raw_records(build("SIPR").files["chain"])[-1]
    both(cut_records(1), lambda _, those: those.update({"chain": those["chain"] + earlier}))(built, files)


def shorter_than_its_recovery(built: Built, files: Files) -> None:
    """Records in front of an honest recovery are gone."""
    both(recovered(DIED), chain_order(0, 1, 2, -1))(built, files)


def interval_of_recovered(cause: str, first: int, last: int) -> Tamper:
    def tamper(built: Built) -> Files:
        recovered(cause)(built, built.files)
        return built.export(first, last)

    return tamper


VECTORS: list[Vector] = [
    # --- what the recovery says -----------------------------------------------------------------------------------------
    Vector(
        "a recovery that did not find the tail",
        "SIPPPE",
        stored(recovered(DIED + MISSING)),
        "....",
        "SMPC",
        "recovered tail_missing",
    ),
    Vector("the same in an export", "SIPPPE", exported(recovered(DIED + MISSING)), "....", "IMPC", "recovered tail_missing"),
    Vector(
        "a tail of which only fragments were known",
        "SIPPPE",
        stored(recovered(DIED + "; tail missing: 3 fragments, 1.2 s")),
        "....",
        "SMPC",
        "recovered tail_missing",
    ),
    Vector(
        "a tail and a clock that was stepped",
        "SIPPPE",
        stored(recovered(DIED + MISSING + "; clock suspect")),
        "....",
        "SMPS",
        "recovered tail_missing",
    ),
    Vector(
        "a tail and damage before it",
        "SIPPPE",
        stored(recovered(DIED + "; damaged before: fragment 2" + MISSING)),
        "....",
        "SMPC",
        "recovered tail_missing",
    ),
    Vector(
        "a tail in words that nobody can read",
        "SIPPPE",
        stored(recovered(DIED + "; tail missing: much")),
        "....",
        "SMPC",
        "recovered tail_missing",
    ),
    Vector(
        "an interval of a recording without its tail", "SIPPPPE", interval_of_recovered(DIED + MISSING, 2, 3), ".-..-", "IVPC"
    ),
    # --- a forger who has no key ----------------------------------------------------------------------------------------
    Vector("he cuts the recovery off, too", "SIPPPE", stored(without_the_recovery), "....", "SOPC", "interrupted"),
    Vector("he signs another recovery", "SIPPPE", stored(with_a_recovery_of_his_own), "....", "STNC", "foreign_key recovered"),
    Vector(
        "he changes a letter of the phrase", "SIPPPE", stored(without_the_phrase), "....", "AOPC", "record_altered interrupted"
    ),
    Vector(
        "he takes the recovery of an earlier cut",
        "SIPPPE",
        stored(with_the_recovery_of_an_earlier_cut),
        "....",
        "AOPC",
        "record_misplaced interrupted",
    ),
    Vector(
        "he takes records from before an honest recovery",
        "SIPPPE",
        stored(shorter_than_its_recovery),
        "..",
        "AMPC",
        "records_missing extra_bytes recovered",
    ),
    # --- neighbours -----------------------------------------------------------------------------------------------------
    Vector("a recovery after a death", "SIPPPE", stored(recovered(DIED)), "....", "STPC", "recovered"),
    Vector(
        "a recovery that found an altered fragment",
        "SIPPPE",
        stored(recovered(DIED + "; damaged before: fragment 2")),
        "....",
        "STPC",
        "recovered",
    ),
    Vector(
        "a cause that only resembles the phrase",
        "SIPPPE",
        stored(recovered(DIED + ", tail missing: no")),
        "....",
        "STPC",
        "recovered",
    ),
    Vector(
        "a threat in the words of the phrase",
        "SIPPPE",
        stored(lambda b, f: None),
        "....",
        "SCPC",
        start={"threat": "fire" + MISSING},
    ),
]
