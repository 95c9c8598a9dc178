"""Refused offers are journalled, and no number of them fills the journal."""

from relay.base.errors import Kind, TheirError
from relay.live.offer_refusals import OfferRefusals
from relay.runtime.background import Background
from tests.support.services import House


async def _refusals(house: House) -> list[dict[str, object]]:
    bodies = [dict(leaf.body) for leaf in await house.journal.read(limit=1000) if leaf.body is not None]
    return [body for body in bodies if body["operation"] == "refus"]


async def test_150_refused_offers_of_one_camera_are_two_entries(house: House) -> None:
    background = Background(house.counters)
    refusals = OfferRefusals(house.journal, background, house.counters)
    for number in range(150):
        refusals.take("cam-1", TheirError(Kind.NOT_ACCEPTABLE, f"words of the camera, another each time: {number}"))
    await background.settled()
    house.clock.advance(61)
    await house.journal.flush_refusals()
    first, others = await _refusals(house)
    assert (first["author"], first["object_id"], others["details"]["count"]) == ("cam-1", "cam-1", 149)  # type: ignore[index]
    assert "words" not in str(first)
    assert house.counters.values["offers_refused"] == 150
