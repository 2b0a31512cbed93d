"""What is known to be harmless: which findings an entry hides, and the life of entries."""
