from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "sandfly_web.embedded"
