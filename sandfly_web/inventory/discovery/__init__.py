"""Finds hosts in networks: sweeps in parts, done by workers of the zone, and who is who when addresses change."""
