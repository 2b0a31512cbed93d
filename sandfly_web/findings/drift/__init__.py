"""Baselines of what is right on a kind of host, and what drifts from them."""
