from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "sandfly_web.rules"
