"""What leaves the installation for other systems."""
