"""The OpenAPI document as it is served: the same for everybody, so a process makes it once in each form."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

FILE_NAME = "sandfly API"
FORMS = {"yaml": OpenApiYamlRenderer, "json": OpenApiJsonRenderer}


class DocumentView(SpectacularAPIView):
    """Who is not signed in may read it too, and making it takes seconds of CPU."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        # JSON is UTF-8 without saying so.
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        return HttpResponse(
            render(renderer.format),
            content_type=f"{renderer.media_type}{charset}",
            headers={"Content-Disposition": f'inline; filename="{FILE_NAME}.{renderer.format}"'},
        )


@cache
def render(form: str) -> bytes:
    """The document as `yaml` or `json`."""
    content = FORMS[form]().render(build(), renderer_context={})
    return content if isinstance(content, bytes) else str(content).encode()


@cache
def build() -> dict[str, Any]:
    generator: Any = SchemaGenerator  # The library has no types.
    document: dict[str, Any] = generator().get_schema(request=None, public=True)
    return document
