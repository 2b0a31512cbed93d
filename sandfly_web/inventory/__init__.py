"""Hosts, how they are reached and who may sign in: zones, credentials, jump hosts, host keys, tags."""
