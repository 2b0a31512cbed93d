"""What waits and what runs, and batches of scans that were asked for together."""
