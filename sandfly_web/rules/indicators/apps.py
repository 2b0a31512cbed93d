"""An app of its own inside `rules`: it has tables, and a million rows of them come and go with one list."""

from django.apps import AppConfig


class IndicatorsConfig(AppConfig):
    name = "sandfly_web.rules.indicators"
    label = "indicators"
    verbose_name = "Indicators"
