"""Visits that somebody on the host got in the way of: what is said of it, and the finding that ingest makes of it."""
