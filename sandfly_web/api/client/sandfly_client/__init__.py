"""Typed client of the sandfly API. Needs Python 3.11, msgspec and urllib3, nothing of the server."""

from .client import Client
from .errors import (
    ApiError,
    AuthenticationError,
    CertificateError,
    ConflictError,
    ConnectionFailedError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    KeyReusedError,
    NotFoundError,
    SandflyError,
    ScanWaitError,
    ServerError,
    ThrottledError,
    TimedOutError,
    UnexpectedAnswerError,
)
from .transport import Listing, Options

__all__ = [
    "ApiError",
    "AuthenticationError",
    "CertificateError",
    "Client",
    "ConflictError",
    "ConnectionFailedError",
    "FieldError",
    "ForbiddenError",
    "InvalidRequestError",
    "KeyReusedError",
    "Listing",
    "NotFoundError",
    "Options",
    "SandflyError",
    "ScanWaitError",
    "ServerError",
    "ThrottledError",
    "TimedOutError",
    "UnexpectedAnswerError",
]
