from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "sandfly_web.accounts"
