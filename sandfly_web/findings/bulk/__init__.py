"""Triage of everything that a filter matches."""
