from tests.server.conftest import ingest, make, now, rng, tick

__all__ = ["ingest", "make", "now", "rng", "tick"]
