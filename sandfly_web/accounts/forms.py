"""The form that signs people in."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from unfold.forms import AuthenticationForm

from sandfly_web.accounts.logins import MAX_ATTEMPTS, WINDOW

REFUSED = (
    "This user name and password do not fit together, or the name was tried too often: "
    f"after {MAX_ATTEMPTS} attempts it is refused for {WINDOW.seconds // 60} minutes."
)


class SignInForm(AuthenticationForm):
    """Says the same whether the name, the password or the number of attempts was wrong."""

    error_messages: ClassVar[dict[str, str]] = {**AuthenticationForm.error_messages, "invalid_login": REFUSED}

    @property
    def banner(self) -> str:
        """The installation's own words above the form, such as who may sign in and that use is recorded."""
        return str(settings.LOGIN_BANNER)
