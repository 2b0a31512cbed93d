"""Rules as Sigma files, their compiler to the probe's plan, and the catalogue."""
