"""How many connections HTTP may hold, by how many descriptors there are."""

import pytest

from relay.app.places import KEPT_DESCRIPTORS, KEPT_PER_WORKER, LEAST_CONNECTIONS, places
from relay.app.settings import Settings


@pytest.mark.parametrize("workers", [1, 16])
@pytest.mark.parametrize("descriptors", [512, 1024, 20_000, 1 << 20])
def test_what_control_needs_stays_free(descriptors: int, workers: int) -> None:
    settings = Settings.model_validate({"workers": {"count": workers}})
    found = places(settings, descriptors)
    assert found.total + KEPT_DESCRIPTORS + KEPT_PER_WORKER * workers <= descriptors
    assert found.total <= settings.http.max_connections
    assert found.per_source < found.strangers < found.total


def test_with_hardly_any_descriptors_some_connections_are_taken_all_the_same() -> None:
    assert places(Settings(), 64).total == LEAST_CONNECTIONS
