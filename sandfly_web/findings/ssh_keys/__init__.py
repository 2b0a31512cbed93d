"""SSH keys: what there is and where, which of it is as it should be, and who can reach what with it."""
