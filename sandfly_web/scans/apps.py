from django.apps import AppConfig


class ScansConfig(AppConfig):
    name = "sandfly_web.scans"
