"""Entry point of the web server."""

import os

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sandfly_web.settings")
application = get_wsgi_application()

from django.conf import settings  # noqa: E402 - settings are readable only now

if not settings.CONFIGURED_SECRET_KEY:
    raise ImproperlyConfigured(
        "set SANDFLY_SECRET_KEY or SANDFLY_SECRET_KEY_FILE: without it every restart logs everybody out"
    )
