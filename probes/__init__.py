"""The probe (Go, standard library only) and the Python module that builds it."""
