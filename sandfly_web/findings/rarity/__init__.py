"""What only one or few hosts of the fleet have."""
