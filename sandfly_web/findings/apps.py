from django.apps import AppConfig


class FindingsConfig(AppConfig):
    name = "sandfly_web.findings"
