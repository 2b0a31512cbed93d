"""The PostgreSQL and Redis that `manage.py up` starts by itself, and where they keep their data."""
