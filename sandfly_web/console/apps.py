from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "sandfly_web.console"
