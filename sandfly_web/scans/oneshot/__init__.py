"""`manage.py scan`: visits from one process, without server, database or broker."""
