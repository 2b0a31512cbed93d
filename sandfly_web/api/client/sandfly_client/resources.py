"""The operations of the API.

Made from the OpenAPI document by sandfly_web/api/client/generate.py; changes belong there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from types import NoneType
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from . import models
from .transport import Form, Listing, Transport, given, part


class Allowlist:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        host: UUID | str | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        rule: UUID | str | UnsetType = UNSET,
        scope: Literal["all", "hosts", "tags"] | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
    ) -> Listing[models.Allowlist]:
        """What is known to be harmless. An entry is never changed: end it and make another."""
        return self._transport.listing(
            "/api/v1/allowlist",
            models.Allowlist,
            query=given(
                {
                    "host": host,
                    "is_active": is_active,
                    "page_size": page_size,
                    "rule": rule,
                    "scope": scope,
                    "subject": subject,
                }
            ),
        )

    def create(
        self,
        *,
        title: str,
        reason: str,
        rule: UUID | UnsetType | None = UNSET,
        subject: str | UnsetType = UNSET,
        detection: str | UnsetType = UNSET,
        scope: models.Scope | UnsetType = UNSET,
        hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Allowlist:
        """Hide what it fits, now and at every later scan; it can be ended at any time."""
        return self._transport.call(
            "POST",
            "/api/v1/allowlist",
            models.Allowlist,
            body=given(
                {
                    "title": title,
                    "reason": reason,
                    "rule": rule,
                    "subject": subject,
                    "detection": detection,
                    "scope": scope,
                    "hosts": hosts,
                    "tags": tags,
                    "expires_at": expires_at,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: UUID | str) -> models.Allowlist:
        """What is known to be harmless. An entry is never changed: end it and make another."""
        return self._transport.call("GET", f"/api/v1/allowlist/{part(id)}", models.Allowlist)

    def end(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.Allowlist:
        """It hides nothing from now on; what it hid is open again."""
        return self._transport.call(
            "POST", f"/api/v1/allowlist/{part(id)}/end", models.Allowlist, idempotency_key=idempotency_key
        )

    def draft(
        self, *, finding: UUID, draft: models.Draft | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.Drafted:
        """A first version made from a finding, for its host; nothing is changed."""
        return self._transport.call(
            "POST",
            "/api/v1/allowlist/draft",
            models.Drafted,
            body=given({"finding": finding, "draft": draft}),
            idempotency_key=idempotency_key,
        )

    def preview(
        self,
        *,
        title: str,
        reason: str,
        rule: UUID | UnsetType | None = UNSET,
        subject: str | UnsetType = UNSET,
        detection: str | UnsetType = UNSET,
        scope: models.Scope | UnsetType = UNSET,
        hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Preview:
        """What it would hide; nothing is changed."""
        return self._transport.call(
            "POST",
            "/api/v1/allowlist/preview",
            models.Preview,
            body=given(
                {
                    "title": title,
                    "reason": reason,
                    "rule": rule,
                    "subject": subject,
                    "detection": detection,
                    "scope": scope,
                    "hosts": hosts,
                    "tags": tags,
                    "expires_at": expires_at,
                }
            ),
            idempotency_key=idempotency_key,
        )


class Baselines:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        state: Literal["draft", "enforced", "paused"] | UnsetType = UNSET,
    ) -> Listing[models.Baseline]:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        return self._transport.listing(
            "/api/v1/baselines", models.Baseline, query=given({"name": name, "page_size": page_size, "state": state})
        )

    def create(
        self,
        *,
        name: str,
        subjects: Mapping[str, str],
        description: str | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        model_hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        ignore_containers: bool | UnsetType = UNSET,
        ignore_allowed: bool | UnsetType = UNSET,
        report_missing: bool | UnsetType = UNSET,
        auto_append: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Baseline:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        return self._transport.call(
            "POST",
            "/api/v1/baselines",
            models.Baseline,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "subjects": subjects,
                    "level": level,
                    "model_hosts": model_hosts,
                    "tags": tags,
                    "ignore_containers": ignore_containers,
                    "ignore_allowed": ignore_allowed,
                    "report_missing": report_missing,
                    "auto_append": auto_append,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: UUID | str) -> models.Baseline:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        return self._transport.call("GET", f"/api/v1/baselines/{part(id)}", models.Baseline)

    def replace(
        self,
        id: UUID | str,
        *,
        name: str,
        subjects: Mapping[str, str],
        description: str | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        model_hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        ignore_containers: bool | UnsetType = UNSET,
        ignore_allowed: bool | UnsetType = UNSET,
        report_missing: bool | UnsetType = UNSET,
        auto_append: bool | UnsetType = UNSET,
    ) -> models.Baseline:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        return self._transport.call(
            "PUT",
            f"/api/v1/baselines/{part(id)}",
            models.Baseline,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "subjects": subjects,
                    "level": level,
                    "model_hosts": model_hosts,
                    "tags": tags,
                    "ignore_containers": ignore_containers,
                    "ignore_allowed": ignore_allowed,
                    "report_missing": report_missing,
                    "auto_append": auto_append,
                }
            ),
        )

    def update(
        self,
        id: UUID | str,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        subjects: Mapping[str, str] | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        model_hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        ignore_containers: bool | UnsetType = UNSET,
        ignore_allowed: bool | UnsetType = UNSET,
        report_missing: bool | UnsetType = UNSET,
        auto_append: bool | UnsetType = UNSET,
    ) -> models.Baseline:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/baselines/{part(id)}",
            models.Baseline,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "subjects": subjects,
                    "level": level,
                    "model_hosts": model_hosts,
                    "tags": tags,
                    "ignore_containers": ignore_containers,
                    "ignore_allowed": ignore_allowed,
                    "report_missing": report_missing,
                    "auto_append": auto_append,
                }
            ),
        )

    def delete(self, id: UUID | str) -> None:
        """What is right on a kind of host; what else covered hosts show becomes findings named `drift`."""
        self._transport.call("DELETE", f"/api/v1/baselines/{part(id)}", NoneType)

    def accept(self, id: UUID | str, *, key: str, reason: str, idempotency_key: str | None = None) -> models.Accepted:
        """A difference is right, on every host: it becomes part of the baseline and its findings are closed."""
        return self._transport.call(
            "POST",
            f"/api/v1/baselines/{part(id)}/accept",
            models.Accepted,
            body=given({"key": key, "reason": reason}),
            idempotency_key=idempotency_key,
        )

    def differences(self, id: UUID | str) -> tuple[models.Difference, ...]:
        """Unresolved drift; the same on many hosts is one row. At most 200, those on most hosts first."""
        return self._transport.call("GET", f"/api/v1/baselines/{part(id)}/differences", tuple[models.Difference, ...])

    def enforce(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.Baseline:
        """From the next visit on, drift is found."""
        return self._transport.call(
            "POST", f"/api/v1/baselines/{part(id)}/enforce", models.Baseline, idempotency_key=idempotency_key
        )

    def export(self, id: UUID | str) -> models.Export:
        """The baseline as a document that `import` of another server takes."""
        return self._transport.call("GET", f"/api/v1/baselines/{part(id)}/export", models.Export)

    def gather(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.Baseline:
        """Replace its entries by what the model hosts have now."""
        return self._transport.call(
            "POST", f"/api/v1/baselines/{part(id)}/gather", models.Baseline, idempotency_key=idempotency_key
        )

    def pause(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.Baseline:
        """No drift is found until it is enforced again."""
        return self._transport.call(
            "POST", f"/api/v1/baselines/{part(id)}/pause", models.Baseline, idempotency_key=idempotency_key
        )

    def versions(self, id: UUID | str) -> tuple[models.BaselineVersion, ...]:
        """The last 200 changes of its entries, newest first."""
        return self._transport.call("GET", f"/api/v1/baselines/{part(id)}/versions", tuple[models.BaselineVersion, ...])

    def import_(
        self,
        *,
        format: str,
        name: str,
        subjects: Mapping[str, str],
        entries: Sequence[Mapping[str, Any]],
        description: str | UnsetType = UNSET,
        level: str | UnsetType = UNSET,
        ignore_containers: bool | UnsetType = UNSET,
        ignore_allowed: bool | UnsetType = UNSET,
        report_missing: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Baseline:
        """A draft from such a document."""
        return self._transport.call(
            "POST",
            "/api/v1/baselines/import",
            models.Baseline,
            body=given(
                {
                    "format": format,
                    "name": name,
                    "description": description,
                    "subjects": subjects,
                    "level": level,
                    "ignore_containers": ignore_containers,
                    "ignore_allowed": ignore_allowed,
                    "report_missing": report_missing,
                    "entries": entries,
                }
            ),
            idempotency_key=idempotency_key,
        )


class Batches:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        is_paused: bool | UnsetType = UNSET,
        is_tripped: bool | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
    ) -> Listing[models.ScanBatch]:
        """Scans that were asked for together, newest first."""
        return self._transport.listing(
            "/api/v1/batches",
            models.ScanBatch,
            query=given({"is_paused": is_paused, "is_tripped": is_tripped, "page_size": page_size}),
        )

    def get(self, id: UUID | str) -> models.ScanBatch:
        """Scans that were asked for together, newest first."""
        return self._transport.call("GET", f"/api/v1/batches/{part(id)}", models.ScanBatch)

    def abort(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.Stopped:
        """Stop every scan of it."""
        return self._transport.call(
            "POST", f"/api/v1/batches/{part(id)}/abort", models.Stopped, idempotency_key=idempotency_key
        )

    def pause(
        self, id: UUID | str, *, reason: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.ScanBatch:
        """Begin no further scans of it; those under way end as they would."""
        return self._transport.call(
            "POST",
            f"/api/v1/batches/{part(id)}/pause",
            models.ScanBatch,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def resume(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.ScanBatch:
        """Go on, also after a limit paused it: what was seen until now does not trip it again."""
        return self._transport.call(
            "POST", f"/api/v1/batches/{part(id)}/resume", models.ScanBatch, idempotency_key=idempotency_key
        )


class CredentialSets:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        credentials: Sequence[int] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
    ) -> Listing[models.CredentialSet]:
        """Credentials for hosts of which nobody knows which one fits."""
        return self._transport.listing(
            "/api/v1/credential-sets",
            models.CredentialSet,
            query=given({"credentials": credentials, "name": name, "page_size": page_size, "zone": zone}),
        )

    def create(
        self,
        *,
        name: str,
        zone: int,
        credentials: Sequence[int],
        try_all_passwords: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.CredentialSet:
        """Credentials for hosts of which nobody knows which one fits."""
        return self._transport.call(
            "POST",
            "/api/v1/credential-sets",
            models.CredentialSet,
            body=given(
                {"name": name, "zone": zone, "credentials": credentials, "try_all_passwords": try_all_passwords}
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.CredentialSet:
        """Credentials for hosts of which nobody knows which one fits."""
        return self._transport.call("GET", f"/api/v1/credential-sets/{part(id)}", models.CredentialSet)

    def replace(
        self, id: int, *, name: str, zone: int, credentials: Sequence[int], try_all_passwords: bool | UnsetType = UNSET
    ) -> models.CredentialSet:
        """Credentials for hosts of which nobody knows which one fits."""
        return self._transport.call(
            "PUT",
            f"/api/v1/credential-sets/{part(id)}",
            models.CredentialSet,
            body=given(
                {"name": name, "zone": zone, "credentials": credentials, "try_all_passwords": try_all_passwords}
            ),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
        credentials: Sequence[int] | UnsetType = UNSET,
        try_all_passwords: bool | UnsetType = UNSET,
    ) -> models.CredentialSet:
        """Credentials for hosts of which nobody knows which one fits."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/credential-sets/{part(id)}",
            models.CredentialSet,
            body=given(
                {"name": name, "zone": zone, "credentials": credentials, "try_all_passwords": try_all_passwords}
            ),
        )

    def delete(self, id: int) -> None:
        """Credentials for hosts of which nobody knows which one fits."""
        self._transport.call("DELETE", f"/api/v1/credential-sets/{part(id)}", NoneType)


class Credentials:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        kind: Literal["certificate", "password", "private_key", "vault"] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        username: str | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
    ) -> Listing[models.Credential]:
        """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""
        return self._transport.listing(
            "/api/v1/credentials",
            models.Credential,
            query=given({"kind": kind, "name": name, "page_size": page_size, "username": username, "zone": zone}),
        )

    def create(
        self,
        *,
        name: str,
        zone: int,
        username: str,
        become: models.Become | UnsetType = UNSET,
        password: str | UnsetType = UNSET,
        private_key: str | UnsetType = UNSET,
        passphrase: str | UnsetType = UNSET,
        become_password: str | UnsetType = UNSET,
        certificate: str | UnsetType = UNSET,
        generate: str | UnsetType = UNSET,
        vault_url: str | UnsetType = UNSET,
        vault_token: str | UnsetType = UNSET,
        vault_engine: str | UnsetType = UNSET,
        vault_mount: str | UnsetType = UNSET,
        vault_path: str | UnsetType = UNSET,
        vault_namespace: str | UnsetType = UNSET,
        vault_ca_certificate: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Credential:
        """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""
        return self._transport.call(
            "POST",
            "/api/v1/credentials",
            models.Credential,
            body=given(
                {
                    "name": name,
                    "zone": zone,
                    "username": username,
                    "become": become,
                    "password": password,
                    "private_key": private_key,
                    "passphrase": passphrase,
                    "become_password": become_password,
                    "certificate": certificate,
                    "generate": generate,
                    "vault_url": vault_url,
                    "vault_token": vault_token,
                    "vault_engine": vault_engine,
                    "vault_mount": vault_mount,
                    "vault_path": vault_path,
                    "vault_namespace": vault_namespace,
                    "vault_ca_certificate": vault_ca_certificate,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.Credential:
        """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""
        return self._transport.call("GET", f"/api/v1/credentials/{part(id)}", models.Credential)

    def replace(
        self,
        id: int,
        *,
        name: str,
        zone: int,
        username: str,
        become: models.Become | UnsetType = UNSET,
        password: str | UnsetType = UNSET,
        private_key: str | UnsetType = UNSET,
        passphrase: str | UnsetType = UNSET,
        become_password: str | UnsetType = UNSET,
        certificate: str | UnsetType = UNSET,
        generate: str | UnsetType = UNSET,
        vault_url: str | UnsetType = UNSET,
        vault_token: str | UnsetType = UNSET,
        vault_engine: str | UnsetType = UNSET,
        vault_mount: str | UnsetType = UNSET,
        vault_path: str | UnsetType = UNSET,
        vault_namespace: str | UnsetType = UNSET,
        vault_ca_certificate: str | UnsetType = UNSET,
    ) -> models.Credential:
        """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""
        return self._transport.call(
            "PUT",
            f"/api/v1/credentials/{part(id)}",
            models.Credential,
            body=given(
                {
                    "name": name,
                    "zone": zone,
                    "username": username,
                    "become": become,
                    "password": password,
                    "private_key": private_key,
                    "passphrase": passphrase,
                    "become_password": become_password,
                    "certificate": certificate,
                    "generate": generate,
                    "vault_url": vault_url,
                    "vault_token": vault_token,
                    "vault_engine": vault_engine,
                    "vault_mount": vault_mount,
                    "vault_path": vault_path,
                    "vault_namespace": vault_namespace,
                    "vault_ca_certificate": vault_ca_certificate,
                }
            ),
        )

    def delete(self, id: int) -> None:
        """How to sign in. The sealed secret cannot be read back; to change a credential, send it whole with PUT."""
        self._transport.call("DELETE", f"/api/v1/credentials/{part(id)}", NoneType)


class Discoveries:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        is_enabled: bool | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
    ) -> Listing[models.Discovery]:
        """Networks that are looked at again and again for hosts."""
        return self._transport.listing(
            "/api/v1/discoveries",
            models.Discovery,
            query=given({"is_enabled": is_enabled, "name": name, "page_size": page_size, "zone": zone}),
        )

    def create(
        self,
        *,
        name: str,
        zone: int,
        ranges: str,
        is_enabled: bool | UnsetType = UNSET,
        excluded: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credentials: Sequence[int] | UnsetType = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        schedules: Sequence[int] | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        rate_per_s: int | UnsetType = UNSET,
        timeout_s: int | UnsetType = UNSET,
        retire_after_hours: int | UnsetType | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Discovery:
        """Networks that are looked at again and again for hosts."""
        return self._transport.call(
            "POST",
            "/api/v1/discoveries",
            models.Discovery,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "zone": zone,
                    "ranges": ranges,
                    "excluded": excluded,
                    "port": port,
                    "credentials": credentials,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "schedules": schedules,
                    "interval_s": interval_s,
                    "rate_per_s": rate_per_s,
                    "timeout_s": timeout_s,
                    "retire_after_hours": retire_after_hours,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.Discovery:
        """Networks that are looked at again and again for hosts."""
        return self._transport.call("GET", f"/api/v1/discoveries/{part(id)}", models.Discovery)

    def replace(
        self,
        id: int,
        *,
        name: str,
        zone: int,
        ranges: str,
        is_enabled: bool | UnsetType = UNSET,
        excluded: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credentials: Sequence[int] | UnsetType = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        schedules: Sequence[int] | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        rate_per_s: int | UnsetType = UNSET,
        timeout_s: int | UnsetType = UNSET,
        retire_after_hours: int | UnsetType | None = UNSET,
    ) -> models.Discovery:
        """Networks that are looked at again and again for hosts."""
        return self._transport.call(
            "PUT",
            f"/api/v1/discoveries/{part(id)}",
            models.Discovery,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "zone": zone,
                    "ranges": ranges,
                    "excluded": excluded,
                    "port": port,
                    "credentials": credentials,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "schedules": schedules,
                    "interval_s": interval_s,
                    "rate_per_s": rate_per_s,
                    "timeout_s": timeout_s,
                    "retire_after_hours": retire_after_hours,
                }
            ),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
        ranges: str | UnsetType = UNSET,
        excluded: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credentials: Sequence[int] | UnsetType = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        schedules: Sequence[int] | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        rate_per_s: int | UnsetType = UNSET,
        timeout_s: int | UnsetType = UNSET,
        retire_after_hours: int | UnsetType | None = UNSET,
    ) -> models.Discovery:
        """Networks that are looked at again and again for hosts."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/discoveries/{part(id)}",
            models.Discovery,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "zone": zone,
                    "ranges": ranges,
                    "excluded": excluded,
                    "port": port,
                    "credentials": credentials,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "schedules": schedules,
                    "interval_s": interval_s,
                    "rate_per_s": rate_per_s,
                    "timeout_s": timeout_s,
                    "retire_after_hours": retire_after_hours,
                }
            ),
        )

    def delete(self, id: int) -> None:
        """Networks that are looked at again and again for hosts."""
        self._transport.call("DELETE", f"/api/v1/discoveries/{part(id)}", NoneType)

    def sweep(self, id: int, *, idempotency_key: str | None = None) -> models.Sweep:
        """Look now."""
        return self._transport.call(
            "POST", f"/api/v1/discoveries/{part(id)}/sweep", models.Sweep, idempotency_key=idempotency_key
        )


class FindingEvents:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        after: int | UnsetType = UNSET,
        finding: UUID | str | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        kind: Sequence[
            Literal[
                "acknowledged",
                "allowed",
                "assigned",
                "closed",
                "collected",
                "commented",
                "created",
                "false_positive",
                "reopened",
                "snoozed",
                "woke",
            ]
        ]
        | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
    ) -> Listing[models.FindingEvent]:
        """Everything that happened to findings, oldest first: what a SIEM pulls, each time with `after=` its
        last id.

        The last seconds are left out: an event with a smaller id may be written by something that has not
        ended yet.
        """
        return self._transport.listing(
            "/api/v1/finding-events",
            models.FindingEvent,
            query=given({"after": after, "finding": finding, "host": host, "kind": kind, "page_size": page_size}),
        )

    def get(self, id: int) -> models.FindingEvent:
        """Everything that happened to findings, oldest first: what a SIEM pulls, each time with `after=` its
        last id.

        The last seconds are left out: an event with a smaller id may be written by something that has not
        ended yet.
        """
        return self._transport.call("GET", f"/api/v1/finding-events/{part(id)}", models.FindingEvent)


class Findings:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        assignee: str | UnsetType = UNSET,
        fingerprint: str | UnsetType = UNSET,
        first_seen_after: datetime | UnsetType = UNSET,
        first_seen_before: datetime | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        host_tag: str | UnsetType = UNSET,
        is_snoozed: bool | UnsetType = UNSET,
        is_unresolved: bool | UnsetType = UNSET,
        last_seen_after: datetime | UnsetType = UNSET,
        last_seen_before: datetime | UnsetType = UNSET,
        level: Sequence[Literal["critical", "high", "informational", "low", "medium"]] | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        rule: UUID | str | UnsetType = UNSET,
        rule_name: str | UnsetType = UNSET,
        scan: UUID | str | UnsetType = UNSET,
        status: Sequence[Literal["acknowledged", "allowed", "closed", "false_positive", "open"]] | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        woke: bool | UnsetType = UNSET,
    ) -> Listing[models.Finding]:
        """What rules found. Worst first, then the last seen; every action writes an event with its actor."""
        return self._transport.listing(
            "/api/v1/findings",
            models.Finding,
            query=given(
                {
                    "assignee": assignee,
                    "fingerprint": fingerprint,
                    "first_seen_after": first_seen_after,
                    "first_seen_before": first_seen_before,
                    "host": host,
                    "host_tag": host_tag,
                    "is_snoozed": is_snoozed,
                    "is_unresolved": is_unresolved,
                    "last_seen_after": last_seen_after,
                    "last_seen_before": last_seen_before,
                    "level": level,
                    "page_size": page_size,
                    "rule": rule,
                    "rule_name": rule_name,
                    "scan": scan,
                    "status": status,
                    "subject": subject,
                    "tag": tag,
                    "woke": woke,
                }
            ),
        )

    def get(self, id: UUID | str) -> models.FindingDetail:
        """What rules found. Worst first, then the last seen; every action writes an event with its actor."""
        return self._transport.call("GET", f"/api/v1/findings/{part(id)}", models.FindingDetail)

    def acknowledge(
        self, id: UUID | str, *, comment: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.FindingDetail:
        """Somebody looks into it."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/acknowledge",
            models.FindingDetail,
            body=given({"comment": comment}),
            idempotency_key=idempotency_key,
        )

    def assign(
        self,
        id: UUID | str,
        *,
        assignee: str | None,
        comment: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.FindingDetail:
        """Give it to a user, or to nobody."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/assign",
            models.FindingDetail,
            body=given({"assignee": assignee, "comment": comment}),
            idempotency_key=idempotency_key,
        )

    def close(self, id: UUID | str, *, reason: str, idempotency_key: str | None = None) -> models.FindingDetail:
        """Dealt with; it opens again when a later scan sees it."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/close",
            models.FindingDetail,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def collect(
        self,
        id: UUID | str,
        *,
        rules: Sequence[str] | UnsetType = UNSET,
        callback_url: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Collected:
        """Run incident rules on the host now; what they bring home stays with the finding."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/collect",
            models.Collected,
            body=given({"rules": rules, "callback_url": callback_url}),
            idempotency_key=idempotency_key,
        )

    def comment(self, id: UUID | str, *, comment: str, idempotency_key: str | None = None) -> models.FindingDetail:
        """Say something that stays in the history."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/comment",
            models.FindingDetail,
            body=given({"comment": comment}),
            idempotency_key=idempotency_key,
        )

    def false_positive(
        self, id: UUID | str, *, reason: str, idempotency_key: str | None = None
    ) -> models.FindingDetail:
        """No threat; it stays resolved when it is seen again."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/false-positive",
            models.FindingDetail,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def reopen(
        self, id: UUID | str, *, comment: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.FindingDetail:
        """Not settled after all."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/reopen",
            models.FindingDetail,
            body=given({"comment": comment}),
            idempotency_key=idempotency_key,
        )

    def snooze(
        self,
        id: UUID | str,
        *,
        reason: str,
        until: datetime | UnsetType = UNSET,
        days: int | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.FindingDetail:
        """Not now: out of the console's list until a time, or until a scan sees other evidence or a higher
        severity.
        """
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/snooze",
            models.FindingDetail,
            body=given({"until": until, "days": days, "reason": reason}),
            idempotency_key=idempotency_key,
        )

    def unsnooze(
        self, id: UUID | str, *, comment: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.FindingDetail:
        """Now, after all."""
        return self._transport.call(
            "POST",
            f"/api/v1/findings/{part(id)}/unsnooze",
            models.FindingDetail,
            body=given({"comment": comment}),
            idempotency_key=idempotency_key,
        )

    def triage(
        self,
        *,
        action: models.Action,
        filter: Mapping[str, str | bool | float | Sequence[str | bool | float]] | UnsetType = UNSET,
        ids: Sequence[UUID] | UnsetType = UNSET,
        reason: str | UnsetType = UNSET,
        comment: str | UnsetType = UNSET,
        assignee: str | UnsetType | None = UNSET,
        until: datetime | UnsetType = UNSET,
        days: int | UnsetType = UNSET,
        dry_run: bool | UnsetType = UNSET,
        expect: int | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Triaged:
        """One step for every finding that a filter matches, or for those that are named.

        Findings whose state does not allow it stay as they are. One entry of the audit log tells the filter
        and the
        number.
        """
        return self._transport.call(
            "POST",
            "/api/v1/findings/triage",
            models.Triaged,
            body=given(
                {
                    "action": action,
                    "filter": filter,
                    "ids": ids,
                    "reason": reason,
                    "comment": comment,
                    "assignee": assignee,
                    "until": until,
                    "days": days,
                    "dry_run": dry_run,
                    "expect": expect,
                }
            ),
            idempotency_key=idempotency_key,
        )


class ForensicRecords:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        finding: UUID | str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        rule_name: str | UnsetType = UNSET,
        scan: UUID | str | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
    ) -> Listing[models.ForensicRecord]:
        """What incident rules brought home: each is how a thing was at the moment of its scan."""
        return self._transport.listing(
            "/api/v1/forensic-records",
            models.ForensicRecord,
            query=given(
                {"finding": finding, "page_size": page_size, "rule_name": rule_name, "scan": scan, "subject": subject}
            ),
        )

    def get(self, id: int) -> models.ForensicRecord:
        """What incident rules brought home: each is how a thing was at the moment of its scan."""
        return self._transport.call("GET", f"/api/v1/forensic-records/{part(id)}", models.ForensicRecord)


class Hosts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        address: str | UnsetType = UNSET,
        credential: int | UnsetType = UNSET,
        discovery: int | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        is_retired: bool | UnsetType = UNSET,
        last_seen_after: datetime | UnsetType = UNSET,
        last_seen_before: datetime | UnsetType = UNSET,
        machine_id: str | UnsetType = UNSET,
        min_risk: int | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        name_contains: str | UnsetType = UNSET,
        origin: Literal["ad_hoc", "added", "discovered"] | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        state: Literal["active", "auth_failed", "key_changed", "new", "offline", "unsupported"] | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
    ) -> Listing[models.Host]:
        """The Linux systems that are watched."""
        return self._transport.listing(
            "/api/v1/hosts",
            models.Host,
            query=given(
                {
                    "address": address,
                    "credential": credential,
                    "discovery": discovery,
                    "is_active": is_active,
                    "is_retired": is_retired,
                    "last_seen_after": last_seen_after,
                    "last_seen_before": last_seen_before,
                    "machine_id": machine_id,
                    "min_risk": min_risk,
                    "name": name,
                    "name_contains": name_contains,
                    "origin": origin,
                    "page_size": page_size,
                    "state": state,
                    "tag": tag,
                    "zone": zone,
                }
            ),
        )

    def create(
        self,
        *,
        address: str,
        zone: int,
        name: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credential: int | UnsetType | None = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
        staging_directory: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Host:
        """The Linux systems that are watched."""
        return self._transport.call(
            "POST",
            "/api/v1/hosts",
            models.Host,
            body=given(
                {
                    "name": name,
                    "address": address,
                    "port": port,
                    "zone": zone,
                    "credential": credential,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "is_active": is_active,
                    "accept_new_host_key": accept_new_host_key,
                    "staging_directory": staging_directory,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def timeline(
        self,
        id: UUID | str,
        *,
        kind: Sequence[
            Literal[
                "accessed",
                "altered",
                "appeared",
                "booted",
                "built",
                "changed",
                "command",
                "created",
                "expires",
                "found",
                "found_last",
                "gone",
                "installed",
                "loaded",
                "log",
                "login",
                "logout",
                "modified",
                "other",
                "password",
                "scheduled",
                "started",
                "triage",
                "visit",
            ]
        ]
        | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        q: str | UnsetType = UNSET,
        since: datetime | UnsetType = UNSET,
        subject: Sequence[str] | UnsetType = UNSET,
        until: datetime | UnsetType = UNSET,
    ) -> models.Timeline:
        """Times of files and programs, logins, log lines, packages, findings, triage, scans, and what they saw
        come and
        go, newest first.
        """
        return self._transport.call(
            "GET",
            f"/api/v1/hosts/{part(id)}/timeline",
            models.Timeline,
            query=given(
                {"kind": kind, "page_size": page_size, "q": q, "since": since, "subject": subject, "until": until}
            ),
        )

    def timeline_density(
        self,
        id: UUID | str,
        *,
        kind: Sequence[
            Literal[
                "accessed",
                "altered",
                "appeared",
                "booted",
                "built",
                "changed",
                "command",
                "created",
                "expires",
                "found",
                "found_last",
                "gone",
                "installed",
                "loaded",
                "log",
                "login",
                "logout",
                "modified",
                "other",
                "password",
                "scheduled",
                "started",
                "triage",
                "visit",
            ]
        ]
        | UnsetType = UNSET,
        q: str | UnsetType = UNSET,
        since: datetime | UnsetType = UNSET,
        subject: Sequence[str] | UnsetType = UNSET,
        until: datetime | UnsetType = UNSET,
    ) -> models.Density:
        """How many moments of each group there are in 80 stretches of the time that is asked for."""
        return self._transport.call(
            "GET",
            f"/api/v1/hosts/{part(id)}/timeline/density",
            models.Density,
            query=given({"kind": kind, "q": q, "since": since, "subject": subject, "until": until}),
        )

    def get(self, id: UUID | str) -> models.HostDetail:
        """The Linux systems that are watched."""
        return self._transport.call("GET", f"/api/v1/hosts/{part(id)}", models.HostDetail)

    def replace(
        self,
        id: UUID | str,
        *,
        address: str,
        zone: int,
        name: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credential: int | UnsetType | None = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
        staging_directory: str | UnsetType = UNSET,
    ) -> models.Host:
        """The Linux systems that are watched."""
        return self._transport.call(
            "PUT",
            f"/api/v1/hosts/{part(id)}",
            models.Host,
            body=given(
                {
                    "name": name,
                    "address": address,
                    "port": port,
                    "zone": zone,
                    "credential": credential,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "is_active": is_active,
                    "accept_new_host_key": accept_new_host_key,
                    "staging_directory": staging_directory,
                }
            ),
        )

    def update(
        self,
        id: UUID | str,
        *,
        name: str | UnsetType = UNSET,
        address: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
        credential: int | UnsetType | None = UNSET,
        credential_set: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        is_active: bool | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
        staging_directory: str | UnsetType = UNSET,
    ) -> models.Host:
        """The Linux systems that are watched."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/hosts/{part(id)}",
            models.Host,
            body=given(
                {
                    "name": name,
                    "address": address,
                    "port": port,
                    "zone": zone,
                    "credential": credential,
                    "credential_set": credential_set,
                    "jump_host": jump_host,
                    "tags": tags,
                    "is_active": is_active,
                    "accept_new_host_key": accept_new_host_key,
                    "staging_directory": staging_directory,
                }
            ),
        )

    def delete(self, id: UUID | str) -> None:
        """The Linux systems that are watched."""
        self._transport.call("DELETE", f"/api/v1/hosts/{part(id)}", NoneType)

    def accept_host_key(
        self, id: UUID | str, *, fingerprint: str, idempotency_key: str | None = None
    ) -> models.HostDetail:
        """Trust a key that the host has shown and that was refused; its other keys of this type no longer count."""
        return self._transport.call(
            "POST",
            f"/api/v1/hosts/{part(id)}/accept-host-key",
            models.HostDetail,
            body=given({"fingerprint": fingerprint}),
            idempotency_key=idempotency_key,
        )

    def changes(self, id: UUID | str, *, since: datetime, until: datetime | UnsetType = UNSET) -> models.Changes:
        """What recon saw appear, change and go between two moments, as the host's visits saw it."""
        return self._transport.call(
            "GET", f"/api/v1/hosts/{part(id)}/changes", models.Changes, query=given({"since": since, "until": until})
        )

    def import_(
        self,
        *,
        text: str,
        zone: int,
        format: models.ImportFormat | UnsetType = UNSET,
        credential: int | UnsetType | None = UNSET,
        jump_host: int | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
        dry_run: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Imported:
        """Add the hosts of a list, CSV, Ansible inventory or ssh_config. What cannot be read is said and left
        out.
        """
        return self._transport.call(
            "POST",
            "/api/v1/hosts/import",
            models.Imported,
            body=given(
                {
                    "text": text,
                    "format": format,
                    "zone": zone,
                    "credential": credential,
                    "jump_host": jump_host,
                    "tags": tags,
                    "accept_new_host_key": accept_new_host_key,
                    "dry_run": dry_run,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def retry(
        self, *, states: Sequence[models.HostState] | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.Retried:
        """Visit every active host in these states again; follow the batch."""
        return self._transport.call(
            "POST",
            "/api/v1/hosts/retry",
            models.Retried,
            body=given({"states": states}),
            idempotency_key=idempotency_key,
        )


class IndicatorLists:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        is_enabled: bool | UnsetType = UNSET,
        level: Literal["critical", "high", "informational", "low", "medium"] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
    ) -> Listing[models.IndicatorList]:
        """Lists of known bad values that scans look for."""
        return self._transport.listing(
            "/api/v1/indicator-lists",
            models.IndicatorList,
            query=given({"is_enabled": is_enabled, "level": level, "name": name, "page_size": page_size}),
        )

    def create(
        self,
        *,
        file: bytes,
        name: str,
        format: models.IndicatorFormat | UnsetType = UNSET,
        column: str | UnsetType = UNSET,
        kind: models.IndicatorKind | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        origin: str | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.IndicatorListDetail:
        """Upload a list; lines that cannot be used are named in the answer."""
        return self._transport.call(
            "POST",
            "/api/v1/indicator-lists",
            models.IndicatorListDetail,
            body=Form(
                given(
                    {
                        "file": file,
                        "format": format,
                        "column": column,
                        "kind": kind,
                        "name": name,
                        "level": level,
                        "origin": origin,
                        "expires_at": expires_at,
                        "is_enabled": is_enabled,
                    }
                )
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.IndicatorListDetail:
        """Lists of known bad values that scans look for."""
        return self._transport.call("GET", f"/api/v1/indicator-lists/{part(id)}", models.IndicatorListDetail)

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
        origin: str | UnsetType = UNSET,
    ) -> models.IndicatorListDetail:
        """Change name, level, origin or expiry, or switch it on or off; scans that start from now on follow."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/indicator-lists/{part(id)}",
            models.IndicatorListDetail,
            body=given(
                {"name": name, "level": level, "is_enabled": is_enabled, "expires_at": expires_at, "origin": origin}
            ),
        )

    def delete(self, id: int) -> None:
        """Lists of known bad values that scans look for."""
        self._transport.call("DELETE", f"/api/v1/indicator-lists/{part(id)}", NoneType)

    def replace(
        self,
        id: int,
        *,
        file: bytes,
        format: models.IndicatorFormat | UnsetType = UNSET,
        column: str | UnsetType = UNSET,
        kind: models.IndicatorKind | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.IndicatorListDetail:
        """Upload other entries, which take the place of those it has, all at once."""
        return self._transport.call(
            "POST",
            f"/api/v1/indicator-lists/{part(id)}/replace",
            models.IndicatorListDetail,
            body=Form(given({"file": file, "format": format, "column": column, "kind": kind})),
            idempotency_key=idempotency_key,
        )

    def preview(
        self,
        *,
        file: bytes,
        format: models.IndicatorFormat | UnsetType = UNSET,
        column: str | UnsetType = UNSET,
        kind: models.IndicatorKind | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.FilePreview:
        """What is in a file, and which lines cannot be used; nothing is kept."""
        return self._transport.call(
            "POST",
            "/api/v1/indicator-lists/preview",
            models.FilePreview,
            body=Form(given({"file": file, "format": format, "column": column, "kind": kind})),
            idempotency_key=idempotency_key,
        )

    def search(self, *, value: str) -> tuple[models.Sighting, ...]:
        """What active lists say of one value, as it is written; networks and parent domains are not tried."""
        return self._transport.call(
            "GET", "/api/v1/indicator-lists/search", tuple[models.Sighting, ...], query=given({"value": value})
        )


class JumpHosts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        address: str | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
    ) -> Listing[models.JumpHost]:
        """Hosts that connections to others go through."""
        return self._transport.listing(
            "/api/v1/jump-hosts",
            models.JumpHost,
            query=given({"address": address, "name": name, "page_size": page_size, "zone": zone}),
        )

    def create(
        self,
        *,
        name: str,
        zone: int,
        address: str,
        credential: int,
        port: int | UnsetType = UNSET,
        via: int | UnsetType | None = UNSET,
        host_keys: str | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.JumpHost:
        """Hosts that connections to others go through."""
        return self._transport.call(
            "POST",
            "/api/v1/jump-hosts",
            models.JumpHost,
            body=given(
                {
                    "name": name,
                    "zone": zone,
                    "address": address,
                    "port": port,
                    "credential": credential,
                    "via": via,
                    "host_keys": host_keys,
                    "accept_new_host_key": accept_new_host_key,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.JumpHost:
        """Hosts that connections to others go through."""
        return self._transport.call("GET", f"/api/v1/jump-hosts/{part(id)}", models.JumpHost)

    def replace(
        self,
        id: int,
        *,
        name: str,
        zone: int,
        address: str,
        credential: int,
        port: int | UnsetType = UNSET,
        via: int | UnsetType | None = UNSET,
        host_keys: str | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
    ) -> models.JumpHost:
        """Hosts that connections to others go through."""
        return self._transport.call(
            "PUT",
            f"/api/v1/jump-hosts/{part(id)}",
            models.JumpHost,
            body=given(
                {
                    "name": name,
                    "zone": zone,
                    "address": address,
                    "port": port,
                    "credential": credential,
                    "via": via,
                    "host_keys": host_keys,
                    "accept_new_host_key": accept_new_host_key,
                }
            ),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        zone: int | UnsetType = UNSET,
        address: str | UnsetType = UNSET,
        port: int | UnsetType = UNSET,
        credential: int | UnsetType = UNSET,
        via: int | UnsetType | None = UNSET,
        host_keys: str | UnsetType = UNSET,
        accept_new_host_key: bool | UnsetType = UNSET,
    ) -> models.JumpHost:
        """Hosts that connections to others go through."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/jump-hosts/{part(id)}",
            models.JumpHost,
            body=given(
                {
                    "name": name,
                    "zone": zone,
                    "address": address,
                    "port": port,
                    "credential": credential,
                    "via": via,
                    "host_keys": host_keys,
                    "accept_new_host_key": accept_new_host_key,
                }
            ),
        )

    def delete(self, id: int) -> None:
        """Hosts that connections to others go through."""
        self._transport.call("DELETE", f"/api/v1/jump-hosts/{part(id)}", NoneType)


class KeyRemovals:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        host: UUID | str | UnsetType = UNSET,
        key: int | UnsetType = UNSET,
        kind: Literal["deduplicate", "remove"] | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        state: Literal["confirmed", "done", "rejected", "requested"] | UnsetType = UNSET,
    ) -> Listing[models.KeyRemoval]:
        """Requests to remove a key or its duplicates. Commands are given, nothing is changed on a host."""
        return self._transport.listing(
            "/api/v1/key-removals",
            models.KeyRemoval,
            query=given({"host": host, "key": key, "kind": kind, "page_size": page_size, "state": state}),
        )

    def create(
        self,
        *,
        key: int,
        reason: str,
        kind: models.KeyRemovalKind | UnsetType = UNSET,
        host: UUID | UnsetType | None = UNSET,
        account: int | UnsetType | None = UNSET,
        may_lock_out: bool | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.KeyRemoval:
        """Requests to remove a key or its duplicates. Commands are given, nothing is changed on a host."""
        return self._transport.call(
            "POST",
            "/api/v1/key-removals",
            models.KeyRemoval,
            body=given(
                {
                    "key": key,
                    "kind": kind,
                    "host": host,
                    "account": account,
                    "reason": reason,
                    "may_lock_out": may_lock_out,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: UUID | str) -> models.KeyRemoval:
        """Requests to remove a key or its duplicates. Commands are given, nothing is changed on a host."""
        return self._transport.call("GET", f"/api/v1/key-removals/{part(id)}", models.KeyRemoval)

    def commands(self, id: UUID | str) -> tuple[models.Commands, ...]:
        """What is left to run, by host; empty unless it is confirmed. At most 1,000 places at once."""
        return self._transport.call("GET", f"/api/v1/key-removals/{part(id)}/commands", tuple[models.Commands, ...])

    def confirm(
        self, id: UUID | str, *, reason: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.KeyRemoval:
        """An operator says that it shall be done."""
        return self._transport.call(
            "POST",
            f"/api/v1/key-removals/{part(id)}/confirm",
            models.KeyRemoval,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def reject(
        self, id: UUID | str, *, reason: str | UnsetType = UNSET, idempotency_key: str | None = None
    ) -> models.KeyRemoval:
        """It shall not be done; needs a reason."""
        return self._transport.call(
            "POST",
            f"/api/v1/key-removals/{part(id)}/reject",
            models.KeyRemoval,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )


class KeyZones:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, is_enabled: bool | UnsetType = UNSET, name: str | UnsetType = UNSET, page_size: int | UnsetType = UNSET
    ) -> Listing[models.KeyZone]:
        """Which keys belong on which hosts; what is against it becomes findings."""
        return self._transport.listing(
            "/api/v1/key-zones",
            models.KeyZone,
            query=given({"is_enabled": is_enabled, "name": name, "page_size": page_size}),
        )

    def create(
        self,
        *,
        name: str,
        host_tags: Sequence[str],
        key_tags: Sequence[str],
        description: str | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        confines_keys: bool | UnsetType = UNSET,
        refuses_strangers: bool | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.KeyZone:
        """Which keys belong on which hosts; what is against it becomes findings."""
        return self._transport.call(
            "POST",
            "/api/v1/key-zones",
            models.KeyZone,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "is_enabled": is_enabled,
                    "host_tags": host_tags,
                    "key_tags": key_tags,
                    "confines_keys": confines_keys,
                    "refuses_strangers": refuses_strangers,
                    "level": level,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.KeyZone:
        """Which keys belong on which hosts; what is against it becomes findings."""
        return self._transport.call("GET", f"/api/v1/key-zones/{part(id)}", models.KeyZone)

    def replace(
        self,
        id: int,
        *,
        name: str,
        host_tags: Sequence[str],
        key_tags: Sequence[str],
        description: str | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        confines_keys: bool | UnsetType = UNSET,
        refuses_strangers: bool | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
    ) -> models.KeyZone:
        """Which keys belong on which hosts; what is against it becomes findings."""
        return self._transport.call(
            "PUT",
            f"/api/v1/key-zones/{part(id)}",
            models.KeyZone,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "is_enabled": is_enabled,
                    "host_tags": host_tags,
                    "key_tags": key_tags,
                    "confines_keys": confines_keys,
                    "refuses_strangers": refuses_strangers,
                    "level": level,
                }
            ),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        host_tags: Sequence[str] | UnsetType = UNSET,
        key_tags: Sequence[str] | UnsetType = UNSET,
        confines_keys: bool | UnsetType = UNSET,
        refuses_strangers: bool | UnsetType = UNSET,
        level: models.Severity | UnsetType = UNSET,
    ) -> models.KeyZone:
        """Which keys belong on which hosts; what is against it becomes findings."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/key-zones/{part(id)}",
            models.KeyZone,
            body=given(
                {
                    "name": name,
                    "description": description,
                    "is_enabled": is_enabled,
                    "host_tags": host_tags,
                    "key_tags": key_tags,
                    "confines_keys": confines_keys,
                    "refuses_strangers": refuses_strangers,
                    "level": level,
                }
            ),
        )

    def delete(self, id: int) -> None:
        """Which keys belong on which hosts; what is against it becomes findings."""
        self._transport.call("DELETE", f"/api/v1/key-zones/{part(id)}", NoneType)


class Records:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        at: datetime | UnsetType = UNSET,
        digest: str | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        is_current: bool | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
    ) -> Listing[models.Record]:
        """What recon rules saw: each record is an interval in which a thing looked the same."""
        return self._transport.listing(
            "/api/v1/records",
            models.Record,
            query=given(
                {
                    "at": at,
                    "digest": digest,
                    "host": host,
                    "is_current": is_current,
                    "page_size": page_size,
                    "subject": subject,
                }
            ),
        )

    def get(self, id: int) -> models.Record:
        """What recon rules saw: each record is an interval in which a thing looked the same."""
        return self._transport.call("GET", f"/api/v1/records/{part(id)}", models.Record)

    def rare(
        self,
        *,
        kind: Literal["programs", "listeners", "keys", "services", "modules"],
        hosts: int | UnsetType = UNSET,
        limit: int | UnsetType = UNSET,
    ) -> models.Rarity:
        """What only one or few hosts of the fleet have now; the rarest first, of these what appeared last."""
        return self._transport.call(
            "GET", "/api/v1/records/rare", models.Rarity, query=given({"hosts": hosts, "kind": kind, "limit": limit})
        )


class RiskDays:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        day: date | UnsetType = UNSET,
        day_after: date | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        is_fleet: bool | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
    ) -> Listing[models.RiskDay]:
        """The risk of each host, and of the fleet, at the end of each of the last 90 days; today's is of the
        last hour.

        Whoever may know only of some hosts is told of those, and not of the fleet.
        """
        return self._transport.listing(
            "/api/v1/risk-days",
            models.RiskDay,
            query=given(
                {"day": day, "day_after": day_after, "host": host, "is_fleet": is_fleet, "page_size": page_size}
            ),
        )

    def get(self, id: int) -> models.RiskDay:
        """The risk of each host, and of the fleet, at the end of each of the last 90 days; today's is of the
        last hour.

        Whoever may know only of some hosts is told of those, and not of the fleet.
        """
        return self._transport.call("GET", f"/api/v1/risk-days/{part(id)}", models.RiskDay)


class Rules:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        is_enabled: bool | UnsetType = UNSET,
        level: Literal["critical", "high", "informational", "low", "medium"] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        origin: Literal["catalog", "local", "pack"] | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        status: str | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        type: Literal["detection", "incident", "policy", "recon"] | UnsetType = UNSET,
    ) -> Listing[models.Rule]:
        """Sigma rules, shipped and written here."""
        return self._transport.listing(
            "/api/v1/rules",
            models.Rule,
            query=given(
                {
                    "is_enabled": is_enabled,
                    "level": level,
                    "name": name,
                    "origin": origin,
                    "page_size": page_size,
                    "status": status,
                    "subject": subject,
                    "tag": tag,
                    "type": type,
                }
            ),
        )

    def get(self, id: UUID | str) -> models.RuleDetail:
        """Sigma rules, shipped and written here."""
        return self._transport.call("GET", f"/api/v1/rules/{part(id)}", models.RuleDetail)

    def update(self, id: UUID | str, *, is_enabled: bool | UnsetType = UNSET) -> models.RuleDetail:
        """Switch a rule on or off; scans that start from now on follow."""
        return self._transport.call(
            "PATCH", f"/api/v1/rules/{part(id)}", models.RuleDetail, body=given({"is_enabled": is_enabled})
        )


class Scans:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        batch: UUID | str | UnsetType = UNSET,
        created_after: datetime | UnsetType = UNSET,
        created_before: datetime | UnsetType = UNSET,
        error_code: str | UnsetType = UNSET,
        finding: UUID | str | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        schedule: int | UnsetType = UNSET,
        status: Sequence[Literal["cancelled", "done", "expired", "failed", "queued", "running"]] | UnsetType = UNSET,
    ) -> Listing[models.Scan]:
        """Visits to hosts, newest first."""
        return self._transport.listing(
            "/api/v1/scans",
            models.Scan,
            query=given(
                {
                    "batch": batch,
                    "created_after": created_after,
                    "created_before": created_before,
                    "error_code": error_code,
                    "finding": finding,
                    "host": host,
                    "page_size": page_size,
                    "schedule": schedule,
                    "status": status,
                }
            ),
        )

    def create(
        self,
        *,
        hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        targets: Sequence[str] | UnsetType = UNSET,
        zone: str | UnsetType = UNSET,
        credential: models.OneTimeRequest | UnsetType = UNSET,
        jump_host: str | UnsetType = UNSET,
        accept_new_host_keys: bool | UnsetType = UNSET,
        types: Sequence[models.RuleType] | UnsetType = UNSET,
        rule_tags: Sequence[str] | UnsetType = UNSET,
        rules: Sequence[str] | UnsetType = UNSET,
        deep: bool | UnsetType = UNSET,
        priority: models.Priority | UnsetType = UNSET,
        nice: int | UnsetType = UNSET,
        cpu_percent: int | UnsetType = UNSET,
        deadline_s: int | UnsetType = UNSET,
        callback_url: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Batch:
        """Queue a scan of each host; answers before any has begun.

        Targets outside the inventory become hosts that no schedule visits; that takes the right to add hosts.
        """
        return self._transport.call(
            "POST",
            "/api/v1/scans",
            models.Batch,
            body=given(
                {
                    "hosts": hosts,
                    "tags": tags,
                    "targets": targets,
                    "zone": zone,
                    "credential": credential,
                    "jump_host": jump_host,
                    "accept_new_host_keys": accept_new_host_keys,
                    "types": types,
                    "rule_tags": rule_tags,
                    "rules": rules,
                    "deep": deep,
                    "priority": priority,
                    "nice": nice,
                    "cpu_percent": cpu_percent,
                    "deadline_s": deadline_s,
                    "callback_url": callback_url,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: UUID | str, *, wait: int | UnsetType = UNSET) -> models.ScanDetail:
        """One visit; with `wait` a client need not ask again and again."""
        return self._transport.call("GET", f"/api/v1/scans/{part(id)}", models.ScanDetail, query=given({"wait": wait}))

    def cancel(self, id: UUID | str, *, idempotency_key: str | None = None) -> models.ScanDetail:
        """Stop a scan: at once while it waits, else its worker is asked to."""
        return self._transport.call(
            "POST", f"/api/v1/scans/{part(id)}/cancel", models.ScanDetail, idempotency_key=idempotency_key
        )


class Schedules:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, is_enabled: bool | UnsetType = UNSET, name: str | UnsetType = UNSET, page_size: int | UnsetType = UNSET
    ) -> Listing[models.Schedule]:
        """Which rules run on which hosts how often."""
        return self._transport.listing(
            "/api/v1/schedules",
            models.Schedule,
            query=given({"is_enabled": is_enabled, "name": name, "page_size": page_size}),
        )

    def create(
        self,
        *,
        name: str,
        is_enabled: bool | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        jitter_s: int | UnsetType = UNSET,
        is_trickle: bool | UnsetType = UNSET,
        blackout_start: time | UnsetType | None = UNSET,
        blackout_end: time | UnsetType | None = UNSET,
        time_zone: str | UnsetType = UNSET,
        priority: models.Priority | UnsetType = UNSET,
        nice: int | UnsetType = UNSET,
        cpu_percent: int | UnsetType = UNSET,
        deadline_s: int | UnsetType = UNSET,
        rule_types: Sequence[models.RuleType] | UnsetType = UNSET,
        rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rules: Sequence[str] | UnsetType = UNSET,
        rule_percent: int | UnsetType = UNSET,
        always_rules: Sequence[str] | UnsetType = UNSET,
        is_deep: bool | UnsetType = UNSET,
        is_drift_check: bool | UnsetType = UNSET,
        host_tags: Sequence[str] | UnsetType = UNSET,
        zones: Sequence[str] | UnsetType = UNSET,
        max_cpu_s: int | UnsetType = UNSET,
        max_memory_mib: int | UnsetType = UNSET,
        max_wall_s: int | UnsetType = UNSET,
        max_crashes: int | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Schedule:
        """Which rules run on which hosts how often."""
        return self._transport.call(
            "POST",
            "/api/v1/schedules",
            models.Schedule,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "interval_s": interval_s,
                    "jitter_s": jitter_s,
                    "is_trickle": is_trickle,
                    "blackout_start": blackout_start,
                    "blackout_end": blackout_end,
                    "time_zone": time_zone,
                    "priority": priority,
                    "nice": nice,
                    "cpu_percent": cpu_percent,
                    "deadline_s": deadline_s,
                    "rule_types": rule_types,
                    "rule_tags": rule_tags,
                    "excluded_rule_tags": excluded_rule_tags,
                    "excluded_rules": excluded_rules,
                    "rule_percent": rule_percent,
                    "always_rules": always_rules,
                    "is_deep": is_deep,
                    "is_drift_check": is_drift_check,
                    "host_tags": host_tags,
                    "zones": zones,
                    "max_cpu_s": max_cpu_s,
                    "max_memory_mib": max_memory_mib,
                    "max_wall_s": max_wall_s,
                    "max_crashes": max_crashes,
                }
            ),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.Schedule:
        """Which rules run on which hosts how often."""
        return self._transport.call("GET", f"/api/v1/schedules/{part(id)}", models.Schedule)

    def replace(
        self,
        id: int,
        *,
        name: str,
        is_enabled: bool | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        jitter_s: int | UnsetType = UNSET,
        is_trickle: bool | UnsetType = UNSET,
        blackout_start: time | UnsetType | None = UNSET,
        blackout_end: time | UnsetType | None = UNSET,
        time_zone: str | UnsetType = UNSET,
        priority: models.Priority | UnsetType = UNSET,
        nice: int | UnsetType = UNSET,
        cpu_percent: int | UnsetType = UNSET,
        deadline_s: int | UnsetType = UNSET,
        rule_types: Sequence[models.RuleType] | UnsetType = UNSET,
        rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rules: Sequence[str] | UnsetType = UNSET,
        rule_percent: int | UnsetType = UNSET,
        always_rules: Sequence[str] | UnsetType = UNSET,
        is_deep: bool | UnsetType = UNSET,
        is_drift_check: bool | UnsetType = UNSET,
        host_tags: Sequence[str] | UnsetType = UNSET,
        zones: Sequence[str] | UnsetType = UNSET,
        max_cpu_s: int | UnsetType = UNSET,
        max_memory_mib: int | UnsetType = UNSET,
        max_wall_s: int | UnsetType = UNSET,
        max_crashes: int | UnsetType = UNSET,
    ) -> models.Schedule:
        """Which rules run on which hosts how often."""
        return self._transport.call(
            "PUT",
            f"/api/v1/schedules/{part(id)}",
            models.Schedule,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "interval_s": interval_s,
                    "jitter_s": jitter_s,
                    "is_trickle": is_trickle,
                    "blackout_start": blackout_start,
                    "blackout_end": blackout_end,
                    "time_zone": time_zone,
                    "priority": priority,
                    "nice": nice,
                    "cpu_percent": cpu_percent,
                    "deadline_s": deadline_s,
                    "rule_types": rule_types,
                    "rule_tags": rule_tags,
                    "excluded_rule_tags": excluded_rule_tags,
                    "excluded_rules": excluded_rules,
                    "rule_percent": rule_percent,
                    "always_rules": always_rules,
                    "is_deep": is_deep,
                    "is_drift_check": is_drift_check,
                    "host_tags": host_tags,
                    "zones": zones,
                    "max_cpu_s": max_cpu_s,
                    "max_memory_mib": max_memory_mib,
                    "max_wall_s": max_wall_s,
                    "max_crashes": max_crashes,
                }
            ),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        is_enabled: bool | UnsetType = UNSET,
        interval_s: int | UnsetType = UNSET,
        jitter_s: int | UnsetType = UNSET,
        is_trickle: bool | UnsetType = UNSET,
        blackout_start: time | UnsetType | None = UNSET,
        blackout_end: time | UnsetType | None = UNSET,
        time_zone: str | UnsetType = UNSET,
        priority: models.Priority | UnsetType = UNSET,
        nice: int | UnsetType = UNSET,
        cpu_percent: int | UnsetType = UNSET,
        deadline_s: int | UnsetType = UNSET,
        rule_types: Sequence[models.RuleType] | UnsetType = UNSET,
        rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rule_tags: Sequence[str] | UnsetType = UNSET,
        excluded_rules: Sequence[str] | UnsetType = UNSET,
        rule_percent: int | UnsetType = UNSET,
        always_rules: Sequence[str] | UnsetType = UNSET,
        is_deep: bool | UnsetType = UNSET,
        is_drift_check: bool | UnsetType = UNSET,
        host_tags: Sequence[str] | UnsetType = UNSET,
        zones: Sequence[str] | UnsetType = UNSET,
        max_cpu_s: int | UnsetType = UNSET,
        max_memory_mib: int | UnsetType = UNSET,
        max_wall_s: int | UnsetType = UNSET,
        max_crashes: int | UnsetType = UNSET,
    ) -> models.Schedule:
        """Which rules run on which hosts how often."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/schedules/{part(id)}",
            models.Schedule,
            body=given(
                {
                    "name": name,
                    "is_enabled": is_enabled,
                    "interval_s": interval_s,
                    "jitter_s": jitter_s,
                    "is_trickle": is_trickle,
                    "blackout_start": blackout_start,
                    "blackout_end": blackout_end,
                    "time_zone": time_zone,
                    "priority": priority,
                    "nice": nice,
                    "cpu_percent": cpu_percent,
                    "deadline_s": deadline_s,
                    "rule_types": rule_types,
                    "rule_tags": rule_tags,
                    "excluded_rule_tags": excluded_rule_tags,
                    "excluded_rules": excluded_rules,
                    "rule_percent": rule_percent,
                    "always_rules": always_rules,
                    "is_deep": is_deep,
                    "is_drift_check": is_drift_check,
                    "host_tags": host_tags,
                    "zones": zones,
                    "max_cpu_s": max_cpu_s,
                    "max_memory_mib": max_memory_mib,
                    "max_wall_s": max_wall_s,
                    "max_crashes": max_crashes,
                }
            ),
        )

    def delete(self, id: int) -> None:
        """Which rules run on which hosts how often."""
        self._transport.call("DELETE", f"/api/v1/schedules/{part(id)}", NoneType)

    def abort(self, id: int, *, idempotency_key: str | None = None) -> models.Stopped:
        """Stop every scan of the schedule; its hosts wait for their next time."""
        return self._transport.call(
            "POST", f"/api/v1/schedules/{part(id)}/abort", models.Stopped, idempotency_key=idempotency_key
        )

    def pause(self, id: int, *, reason: str | UnsetType = UNSET, idempotency_key: str | None = None) -> models.Schedule:
        """Begin no further visits; those under way end as they would."""
        return self._transport.call(
            "POST",
            f"/api/v1/schedules/{part(id)}/pause",
            models.Schedule,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def resume(self, id: int, *, idempotency_key: str | None = None) -> models.Schedule:
        """Go on, also after a limit paused it: what was seen until now does not trip it again."""
        return self._transport.call(
            "POST", f"/api/v1/schedules/{part(id)}/resume", models.Schedule, idempotency_key=idempotency_key
        )

    def run(self, id: int, *, idempotency_key: str | None = None) -> models.Due:
        """Make all hosts of the schedule due now."""
        return self._transport.call(
            "POST", f"/api/v1/schedules/{part(id)}/run", models.Due, idempotency_key=idempotency_key
        )


class SshKeyPlaces:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        account: int | UnsetType = UNSET,
        account__username: str | UnsetType = UNSET,
        area: str | UnsetType = UNSET,
        copies__gt: int | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
        is_current: bool | UnsetType = UNSET,
        is_encrypted: bool | UnsetType = UNSET,
        key: int | UnsetType = UNSET,
        kind: Literal["authorized_key", "known_host", "private_key"] | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
    ) -> Listing[models.SshKeyPlace]:
        """Where keys are and were: authorized keys, private keys, known hosts; from when to when."""
        return self._transport.listing(
            "/api/v1/ssh-key-places",
            models.SshKeyPlace,
            query=given(
                {
                    "account": account,
                    "account__username": account__username,
                    "area": area,
                    "copies__gt": copies__gt,
                    "host": host,
                    "is_current": is_current,
                    "is_encrypted": is_encrypted,
                    "key": key,
                    "kind": kind,
                    "page_size": page_size,
                }
            ),
        )

    def get(self, id: int) -> models.SshKeyPlace:
        """Where keys are and were: authorized keys, private keys, known hosts; from when to when."""
        return self._transport.call("GET", f"/api/v1/ssh-key-places/{part(id)}", models.SshKeyPlace)


class SshKeys:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        algorithm: str | UnsetType = UNSET,
        fingerprint: str | UnsetType = UNSET,
        host: Any | UnsetType = UNSET,
        is_live: bool | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        standing: Literal["", "banned", "protected"] | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        use: Literal["host", "other", "user"] | UnsetType = UNSET,
    ) -> Listing[models.SshKey]:
        """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""
        return self._transport.listing(
            "/api/v1/ssh-keys",
            models.SshKey,
            query=given(
                {
                    "algorithm": algorithm,
                    "fingerprint": fingerprint,
                    "host": host,
                    "is_live": is_live,
                    "name": name,
                    "page_size": page_size,
                    "standing": standing,
                    "tag": tag,
                    "use": use,
                }
            ),
        )

    def create(
        self,
        *,
        public_key: str,
        name: str | UnsetType = UNSET,
        notes: str | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.SshKey:
        """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""
        return self._transport.call(
            "POST",
            "/api/v1/ssh-keys",
            models.SshKey,
            body=given({"public_key": public_key, "name": name, "notes": notes, "tags": tags}),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.SshKey:
        """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""
        return self._transport.call("GET", f"/api/v1/ssh-keys/{part(id)}", models.SshKey)

    def update(
        self,
        id: int,
        *,
        public_key: str | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        notes: str | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
    ) -> models.SshKey:
        """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/ssh-keys/{part(id)}",
            models.SshKey,
            body=given({"public_key": public_key, "name": name, "notes": notes, "tags": tags}),
        )

    def delete(self, id: int) -> None:
        """SSH keys that visits saw or people added; a key is remembered when it is gone everywhere."""
        self._transport.call("DELETE", f"/api/v1/ssh-keys/{part(id)}", NoneType)

    def ban(self, id: int, *, reason: str, idempotency_key: str | None = None) -> models.SshKey:
        """From the next visit on, every place of the key is a critical finding."""
        return self._transport.call(
            "POST",
            f"/api/v1/ssh-keys/{part(id)}/ban",
            models.SshKey,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def protect(self, id: int, *, reason: str, idempotency_key: str | None = None) -> models.SshKey:
        """Its removal is refused, and a host that loses it is a finding."""
        return self._transport.call(
            "POST",
            f"/api/v1/ssh-keys/{part(id)}/protect",
            models.SshKey,
            body=given({"reason": reason}),
            idempotency_key=idempotency_key,
        )

    def reach(self, id: int) -> models.Radius:
        """The blast radius: accounts that whoever steals the key can sign in to, nearest first, at most 1,000."""
        return self._transport.call("GET", f"/api/v1/ssh-keys/{part(id)}/reach", models.Radius)

    def release(self, id: int, *, idempotency_key: str | None = None) -> models.SshKey:
        """Neither banned nor protected any more."""
        return self._transport.call(
            "POST", f"/api/v1/ssh-keys/{part(id)}/release", models.SshKey, idempotency_key=idempotency_key
        )

    def tag(
        self,
        *,
        keys: Sequence[int],
        add: Sequence[str] | UnsetType = UNSET,
        remove: Sequence[str] | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Tagged:
        """Give and take tags of many keys at once."""
        return self._transport.call(
            "POST",
            "/api/v1/ssh-keys/tag",
            models.Tagged,
            body=given({"keys": keys, "add": add, "remove": remove}),
            idempotency_key=idempotency_key,
        )


class Sweeps:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        discovery: int | UnsetType = UNSET,
        page_size: int | UnsetType = UNSET,
        status: Literal["cancelled", "done", "failed", "running"] | UnsetType = UNSET,
    ) -> Listing[models.Sweep]:
        """Passes over the networks of discoveries, newest first."""
        return self._transport.listing(
            "/api/v1/sweeps",
            models.Sweep,
            query=given({"discovery": discovery, "page_size": page_size, "status": status}),
        )

    def get(self, id: int) -> models.Sweep:
        """Passes over the networks of discoveries, newest first."""
        return self._transport.call("GET", f"/api/v1/sweeps/{part(id)}", models.Sweep)

    def cancel(self, id: int, *, idempotency_key: str | None = None) -> models.Sweep:
        """End it; what it found stays."""
        return self._transport.call(
            "POST", f"/api/v1/sweeps/{part(id)}/cancel", models.Sweep, idempotency_key=idempotency_key
        )


class Tags:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str | UnsetType = UNSET, page_size: int | UnsetType = UNSET) -> Listing[models.Tag]:
        """Labels on hosts, which schedules refer to."""
        return self._transport.listing("/api/v1/tags", models.Tag, query=given({"name": name, "page_size": page_size}))

    def create(self, *, name: str, idempotency_key: str | None = None) -> models.Tag:
        """Labels on hosts, which schedules refer to."""
        return self._transport.call(
            "POST", "/api/v1/tags", models.Tag, body=given({"name": name}), idempotency_key=idempotency_key
        )

    def get(self, id: int) -> models.Tag:
        """Labels on hosts, which schedules refer to."""
        return self._transport.call("GET", f"/api/v1/tags/{part(id)}", models.Tag)

    def replace(self, id: int, *, name: str) -> models.Tag:
        """Labels on hosts, which schedules refer to."""
        return self._transport.call("PUT", f"/api/v1/tags/{part(id)}", models.Tag, body=given({"name": name}))

    def update(self, id: int, *, name: str | UnsetType = UNSET) -> models.Tag:
        """Labels on hosts, which schedules refer to."""
        return self._transport.call("PATCH", f"/api/v1/tags/{part(id)}", models.Tag, body=given({"name": name}))

    def delete(self, id: int) -> None:
        """Labels on hosts, which schedules refer to."""
        self._transport.call("DELETE", f"/api/v1/tags/{part(id)}", NoneType)


class Tokens:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str | UnsetType = UNSET, page_size: int | UnsetType = UNSET) -> Listing[models.Token]:
        """Tokens of the user who asks; those of others are not found."""
        return self._transport.listing(
            "/api/v1/tokens", models.Token, query=given({"name": name, "page_size": page_size})
        )

    def create(
        self,
        *,
        name: str,
        role: models.Role | Literal[""] | UnsetType = UNSET,
        host_tags: Sequence[str] | UnsetType = UNSET,
        expires_at: datetime | UnsetType | None = UNSET,
    ) -> models.NewToken:
        """Tokens of the user who asks; those of others are not found."""
        return self._transport.call(
            "POST",
            "/api/v1/tokens",
            models.NewToken,
            body=given({"name": name, "role": role, "host_tags": host_tags, "expires_at": expires_at}),
            is_safe=False,
        )

    def get(self, id: int) -> models.Token:
        """Tokens of the user who asks; those of others are not found."""
        return self._transport.call("GET", f"/api/v1/tokens/{part(id)}", models.Token)

    def delete(self, id: int) -> None:
        """Tokens of the user who asks; those of others are not found."""
        self._transport.call("DELETE", f"/api/v1/tokens/{part(id)}", NoneType)


class WidespreadFindings:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        page_size: int | UnsetType = UNSET,
        rule: UUID | str | UnsetType = UNSET,
        subject: str | UnsetType = UNSET,
    ) -> Listing[models.Widespread]:
        """Findings that most hosts have alike, each as one: how the fleet is, or a rule that does not fit it."""
        return self._transport.listing(
            "/api/v1/widespread-findings",
            models.Widespread,
            query=given({"page_size": page_size, "rule": rule, "subject": subject}),
        )

    def get(self, id: int) -> models.Widespread:
        """Findings that most hosts have alike, each as one: how the fleet is, or a rule that does not fit it."""
        return self._transport.call("GET", f"/api/v1/widespread-findings/{part(id)}", models.Widespread)


class Zones:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str | UnsetType = UNSET, page_size: int | UnsetType = UNSET) -> Listing[models.Zone]:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        return self._transport.listing(
            "/api/v1/zones", models.Zone, query=given({"name": name, "page_size": page_size})
        )

    def create(
        self,
        *,
        name: str,
        description: str | UnsetType = UNSET,
        public_key: str | UnsetType = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Zone:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        return self._transport.call(
            "POST",
            "/api/v1/zones",
            models.Zone,
            body=given({"name": name, "description": description, "public_key": public_key}),
            idempotency_key=idempotency_key,
        )

    def get(self, id: int) -> models.Zone:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        return self._transport.call("GET", f"/api/v1/zones/{part(id)}", models.Zone)

    def replace(
        self, id: int, *, name: str, description: str | UnsetType = UNSET, public_key: str | UnsetType = UNSET
    ) -> models.Zone:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        return self._transport.call(
            "PUT",
            f"/api/v1/zones/{part(id)}",
            models.Zone,
            body=given({"name": name, "description": description, "public_key": public_key}),
        )

    def update(
        self,
        id: int,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        public_key: str | UnsetType = UNSET,
    ) -> models.Zone:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        return self._transport.call(
            "PATCH",
            f"/api/v1/zones/{part(id)}",
            models.Zone,
            body=given({"name": name, "description": description, "public_key": public_key}),
        )

    def delete(self, id: int) -> None:
        """Networks, each reached by one group of workers; a zone's public key seals the credentials used there."""
        self._transport.call("DELETE", f"/api/v1/zones/{part(id)}", NoneType)


class Resources:
    """Everything that the API has, by what it is about."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.allowlist = Allowlist(transport)
        self.baselines = Baselines(transport)
        self.batches = Batches(transport)
        self.credential_sets = CredentialSets(transport)
        self.credentials = Credentials(transport)
        self.discoveries = Discoveries(transport)
        self.finding_events = FindingEvents(transport)
        self.findings = Findings(transport)
        self.forensic_records = ForensicRecords(transport)
        self.hosts = Hosts(transport)
        self.indicator_lists = IndicatorLists(transport)
        self.jump_hosts = JumpHosts(transport)
        self.key_removals = KeyRemovals(transport)
        self.key_zones = KeyZones(transport)
        self.records = Records(transport)
        self.risk_days = RiskDays(transport)
        self.rules = Rules(transport)
        self.scans = Scans(transport)
        self.schedules = Schedules(transport)
        self.ssh_key_places = SshKeyPlaces(transport)
        self.ssh_keys = SshKeys(transport)
        self.sweeps = Sweeps(transport)
        self.tags = Tags(transport)
        self.tokens = Tokens(transport)
        self.widespread_findings = WidespreadFindings(transport)
        self.zones = Zones(transport)

    def callback_secret(self) -> models.CallbackSecret:
        """The same each time; every token has one of its own."""
        return self._transport.call("GET", "/api/v1/callback-secret", models.CallbackSecret)

    def hunt(
        self,
        *,
        subject: str | UnsetType = UNSET,
        detection: str | UnsetType = UNSET,
        rule: str | UnsetType | None = UNSET,
        hosts: Sequence[UUID] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        at: datetime | UnsetType | None = UNSET,
        limit: int | UnsetType = UNSET,
    ) -> models.Found:
        """A condition of the rule language over what recon has stored of the whole fleet; nothing is run on a
        host.
        """
        return self._transport.call(
            "POST",
            "/api/v1/hunt",
            models.Found,
            body=given(
                {
                    "subject": subject,
                    "detection": detection,
                    "rule": rule,
                    "hosts": hosts,
                    "tags": tags,
                    "at": at,
                    "limit": limit,
                }
            ),
        )

    def me(self) -> models.Me:
        """The user that the token or session belongs to, with roles and rights."""
        return self._transport.call("GET", "/api/v1/me", models.Me)

    def queue(self) -> models.Queue:
        """Queues, scans in flight, progress of schedules and reports that wait."""
        return self._transport.call("GET", "/api/v1/queue", models.Queue)

    def ssh_paths(
        self,
        *,
        account: int | UnsetType = UNSET,
        depth: int | UnsetType = UNSET,
        direction: Literal["from", "to"] | UnsetType = UNSET,
        host: UUID | str | UnsetType = UNSET,
    ) -> models.Radius:
        """Trust paths from a host or an account, or to it; nearest first, at most 1,000 accounts."""
        return self._transport.call(
            "GET",
            "/api/v1/ssh-paths",
            models.Radius,
            query=given({"account": account, "depth": depth, "direction": direction, "host": host}),
        )
