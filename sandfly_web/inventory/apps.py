from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "sandfly_web.inventory"
