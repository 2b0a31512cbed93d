"""Cursor pages: constant cost however deep, and stable while rows arrive."""

from rest_framework.pagination import CursorPagination


class CursorPages(CursorPagination):
    """Follows the queryset's own order unless the view names another."""

    page_size_query_param = "page_size"
    max_page_size = 500
    ordering = "-id"
