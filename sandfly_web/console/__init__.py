"""The admin site: start page, pages of each area, templates."""
