"""What holds for every test: no test judges by the clock of a shared machine (timed assertions belong to `scripts/bench`)."""

from hypothesis import HealthCheck, settings

from relay.runtime import deadlines

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

deadlines.SECONDS = 30.0  # a slow disk is no silent one
