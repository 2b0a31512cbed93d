"""What every part of API v1 shares: routes, pages, errors."""
