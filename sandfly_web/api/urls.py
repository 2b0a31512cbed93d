"""Routes of API v1."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.routers import SimpleRouter

from sandfly_web.api import schema  # noqa: F401 - registers the description of token authentication
from sandfly_web.api.views import MeView

app_name = "api"

router = SimpleRouter(trailing_slash=False)

urlpatterns = [
    path("me", MeView.as_view(), name="me"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url_name="api:schema"), name="docs"),
    *router.urls,
]
