"""What holds for every test: no test judges by the clock of a shared machine (timed assertions belong to `scripts/bench`)."""

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
