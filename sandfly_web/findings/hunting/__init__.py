"""Hunting: a condition of the rule language over what recon has stored of the whole fleet."""
