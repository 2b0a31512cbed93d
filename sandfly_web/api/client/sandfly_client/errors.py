"""What can go wrong. Messages are the server's own words and name no secret."""

from __future__ import annotations

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """What is wrong with one field of a request; `field` is a path such as `rules.0`, "" for the whole."""

    field: str
    message: str
    code: str


class SandflyError(Exception):
    """The root of all errors of this package."""


class ConnectionFailedError(SandflyError):
    """The server could not be reached, or went away within an answer."""


class CertificateError(ConnectionFailedError):
    """The server's certificate is not one of the authorities that are trusted, or of another name."""


class TimedOutError(ConnectionFailedError):
    """No answer in time. What was asked may have been done; ask again with the same idempotency key."""


class UnexpectedAnswerError(SandflyError):
    """An answer that is not this API's: a proxy's page, a redirect, a body too large or of another shape."""


class ScanWaitError(SandflyError):
    """Scans were not over in time; they go on. `unfinished` counts them."""

    def __init__(self, unfinished: int, timeout_s: float) -> None:
        super().__init__(f"{unfinished} scans are not over after {timeout_s:g} s; they go on")
        self.unfinished = unfinished


class ApiError(SandflyError):
    """The server refused: its problem document (RFC 9457). `code` is for programs, the message for people."""

    def __init__(
        self, status: int, detail: str, code: str = "", errors: tuple[FieldError, ...] = (), request_id: str = ""
    ) -> None:
        faults = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in errors)
        super().__init__(f"{status}: {detail}" + (f" ({faults})" if faults else ""))
        self.status, self.detail, self.code, self.errors, self.request_id = status, detail, code, errors, request_id


class InvalidRequestError(ApiError):
    """400: `errors` says what to change."""


class AuthenticationError(ApiError):
    """401: no token, an expired or a revoked one."""


class ForbiddenError(ApiError):
    """403: the role of the token does not allow it."""


class NotFoundError(ApiError):
    """404: there is none, or none that this token may see."""


class ConflictError(ApiError):
    """409: the state of the thing does not allow it now."""


class KeyReusedError(ApiError):
    """422: the idempotency key was used for another request."""


class ThrottledError(ApiError):
    """429: asked too often, also after all retries."""


class ServerError(ApiError):
    """5xx: a fault of the server; `request_id` finds it in its log."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: KeyReusedError,
    429: ThrottledError,
}
