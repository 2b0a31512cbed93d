"""Everything that can go wrong on a visit, as one tree of errors with stable codes.

Codes are stored, filtered on and documented; messages are safe to show and never hold a secret.
"""

from __future__ import annotations

from typing import ClassVar


class ScanError(Exception):
    """A visit could not give a full answer.

    `code` is one of the class's `codes`; `retryable` says whether trying again can help.
    """

    codes: ClassVar[frozenset[str]] = frozenset()
    retryable_codes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, code: str, message: str) -> None:
        if code not in self.codes:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def retryable(self) -> bool:
        return self.code in self.retryable_codes


class ConnectError(ScanError):
    """The host did not answer, or not as an SSH server."""

    codes = frozenset({"unreachable", "refused", "timeout", "not_ssh", "jump_failed", "connection_lost"})
    retryable_codes = frozenset({"unreachable", "refused", "timeout", "jump_failed", "connection_lost"})


class AuthError(ScanError):
    """The host refused the credential (never retried, so that no account is locked out), or there is none to try."""

    codes = frozenset(
        {
            "auth_rejected",
            "auth_paused",
            "certificate_expired",
            "credential_missing",
            "credential_unsealable",
            "key_unreadable",
            "vault_refused",
            "vault_unreachable",
        }
    )
    retryable_codes = frozenset({"vault_unreachable"})


class HostKeyError(ScanError):
    """The host's key is not the pinned one (`host_key_changed`, itself an alert) or not known yet."""

    codes = frozenset({"host_key_unknown", "host_key_changed"})
    presented: tuple[str, str] | None = None
    """Type and base64 blob of the key the host showed, when it showed one."""


class PrivilegeError(ScanError):
    """Root was asked for and could not be had."""

    codes = frozenset({"become_denied", "become_unavailable"})


class PlatformError(ScanError):
    """The host is no Linux this product has a probe for, or its profile cannot be read."""

    codes = frozenset({"unsupported_arch", "unsupported_kernel", "not_linux", "profile_malformed", "no_shell"})


class ProbeError(ScanError):
    """The probe could not be staged or did not finish."""

    codes = frozenset(
        {
            "probe_missing",
            "upload_failed",
            "digest_mismatch",
            "no_exec_dir",
            "probe_timed_out",
            "probe_crashed",
            "probe_killed",
            "plan_rejected",
            "guard_refused",
        }
    )
    retryable_codes = frozenset({"upload_failed", "probe_timed_out"})


class ReportError(ScanError):
    """What came back from the host is not a whole, valid report."""

    codes = frozenset({"report_not_json", "report_too_large", "report_wrong_schema", "report_truncated"})


class CleanupError(ScanError):
    """Something could not be removed; recorded beside the result and never hides it."""

    codes = frozenset({"cleanup_failed", "cleanup_unverified"})


class ExpiredError(ScanError):
    """The job came to the worker, or would end, after its expiry."""

    codes = frozenset({"expired", "visit_deadline"})
    retryable_codes = frozenset({"visit_deadline"})


class CancelledError(ScanError):
    """Somebody asked for the scan to stop."""

    codes = frozenset({"cancelled"})


class InternalError(ScanError):
    """A fault of this program, caught at the edge of the visit."""

    codes = frozenset({"internal", "plan_missing"})
    retryable_codes = frozenset({"plan_missing"})
