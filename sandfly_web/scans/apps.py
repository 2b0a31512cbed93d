from django.apps import AppConfig


class ScansConfig(AppConfig):
    name = "sandfly_web.scans"

    def ready(self) -> None:
        # Registers the checks over this project's settings.
        from sandfly_web import checks  # noqa: F401, PLC0415
