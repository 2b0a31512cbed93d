"""What goes wrong around the servers that `manage.py up` runs."""

from __future__ import annotations


class EmbeddedError(Exception):
    """An embedded server cannot be started or used; the message is a sentence that says what to do."""
