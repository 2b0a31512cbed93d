"""Routes: the console under /, the API under /api/v1/, health beside them."""

from django.contrib import admin
from django.urls import include, path, re_path

from sandfly_web.api.errors import not_found
from sandfly_web.api.views import healthz, readyz

admin.autodiscover()

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("api/v1/", include("sandfly_web.api.urls")),
    re_path(r"^api/", not_found),
    path("", admin.site.urls),
]

handler400 = "sandfly_web.console.faults.bad_request"
handler403 = "sandfly_web.console.faults.forbidden"
handler404 = "sandfly_web.console.faults.not_found"
handler500 = "sandfly_web.console.faults.server_error"
