"""Schedules, scans and their life: dispatch to the workers, ingest of what they bring home."""
