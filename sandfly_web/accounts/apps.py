from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "sandfly_web.accounts"

    def ready(self) -> None:
        from sandfly_web.accounts.audit import register_models  # noqa: PLC0415 - models are loaded only now

        register_models()
        # This app comes after those whose permissions the roles name, so these exist by then.
        post_migrate.connect(write_roles, sender=self)


def write_roles(**_kwargs: Any) -> None:
    from sandfly_web.accounts.services import ensure_roles  # noqa: PLC0415 - models are loaded only now

    ensure_roles()
