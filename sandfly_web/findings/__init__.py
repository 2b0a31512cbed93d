"""Findings and their triage, and the records that recon rules bring home."""
