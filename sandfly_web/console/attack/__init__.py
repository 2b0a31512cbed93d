"""The ATT&CK page: what of the matrix this installation finds, and what it found."""
