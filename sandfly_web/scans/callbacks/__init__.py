"""Tells whoever asked for scans that the last of them is over."""
