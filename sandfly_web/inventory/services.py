"""Writes of the inventory: zones, credentials, hosts and their keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from sandfly_web.accounts.audit import record_created
from sandfly_web.findings.services import resolve_host_key_findings
from sandfly_web.inventory.hostkeys import fingerprint, parse_host_keys
from sandfly_web.inventory.importing.candidates import Candidate
from sandfly_web.inventory.models import Credential, CredentialSet, Host, HostKey, JumpHost, Tag, Zone
from sandfly_web.inventory.privatekeys import (
    KeyType,
    UsableKey,
    certificate_end,
    generate_key,
    load_private_key,
    openssh_text,
    public_fingerprint,
    public_line,
)
from sandfly_web.inventory.sealing import parse_public_key, seal
from sandfly_web.inventory.targets import Target, TargetError, parse_lines
from scanners.contract import Become, CredentialSecret, HostKeyPin, VaultEngine, VaultSource

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User

INSERT_ROWS = 1000
MAX_PASSWORD_CHARS = 4096
# Name of a credential that is never stored.
ONE_TIME = "(one-time)"
MAX_KEY_CHARS = 65_536
# The worker asks over TLS only, but for a Vault or its agent on the worker's own machine.
_VAULT_URL = re.compile(r"(?:https://[A-Za-z0-9.-]+|https://\[[0-9A-Fa-f:.]+\]|http://127\.0\.0\.1)(?::[0-9]{1,5})?/?")
_TAG_NAME = re.compile(r"[a-zA-Z0-9_-]{1,63}")


def create_zone(name: str, public_key: str = "", description: str = "") -> Zone:
    """A zone; credentials can be stored for it once it has a public key. Raises ValidationError."""
    zone = Zone(name=name, public_key=public_key.strip(), description=description)
    if zone.public_key:
        _check_public_key(zone.public_key)
    zone.full_clean()
    zone.save()
    return zone


def set_zone_key(zone: Zone, public_key: str) -> None:
    """Give a zone its key. Raises ValidationError when credentials are already sealed to another one."""
    _check_public_key(public_key)
    if zone.public_key not in {"", public_key.strip()} and zone.credentials.exists():
        raise ValidationError("credentials are sealed to this zone's key; delete them before the key is changed")
    zone.public_key = public_key.strip()
    zone.save(update_fields=["public_key"])


def _check_public_key(public_key: str) -> None:
    try:
        parse_public_key(public_key)
    except ValueError as error:
        raise ValidationError({"public_key": str(error)}) from None


@dataclass(frozen=True, repr=False)
class PlainSecrets:
    """Secrets as they are typed in. Lives only while `store_credential` runs; its repr shows nothing."""

    password: str = ""
    private_key: str = ""
    passphrase: str = ""
    become_password: str = ""
    certificate: str = ""
    generate: str = ""
    """A `KeyType`, to have the private key made here; only its public half is ever shown."""
    vault_url: str = ""
    vault_token: str = ""
    vault_engine: str = ""
    vault_mount: str = ""
    vault_path: str = ""
    vault_namespace: str = ""
    vault_ca_certificate: str = ""

    def __repr__(self) -> str:
        return "PlainSecrets(***)"


def store_credential(
    *,
    name: str,
    zone: Zone,
    username: str,
    secrets: PlainSecrets,
    become: str = Credential.Become.AUTO,
    credential: Credential | None = None,
) -> Credential:
    """Seal the secrets to the zone and keep them; `credential` is the one to replace, if any.

    The private key is kept without its passphrase, inside the seal only. Raises ValidationError with messages that
    hold no secret.
    """
    row = credential or Credential()
    row.name, row.zone, row.username, row.become = name, zone, username, become
    row.sealed = _seal_into(row, secrets)
    row.save()
    return row


def _seal_into(row: Credential, secrets: PlainSecrets) -> str:
    """Check the row with its secrets, set its kind and fingerprint, and give what is sealed."""
    _check_lengths(secrets)
    key = _read_private_key(secrets)
    vault = _read_vault(secrets)
    row.expires_at = _certificate_end(secrets, key)
    if not (key or secrets.password or vault):
        raise ValidationError("give a password or a private key")
    if not row.zone.public_key:
        raise ValidationError({"zone": f"zone {row.zone} has no key yet; start one of its workers or set the key"})
    row.kind = _kind(secrets, has_key=key is not None)
    row.fingerprint = public_fingerprint(key) if key else ""
    row.public_key = public_line(key, row.name) if key else ""
    row.full_clean(exclude=["sealed"], validate_unique=row.name != ONE_TIME)
    secret = CredentialSecret(
        username=row.username,
        password=secrets.password,
        private_key=openssh_text(key) if key else "",
        become=Become(row.become),
        become_password=secrets.become_password,
        certificate=secrets.certificate.strip(),
        vault=vault,
    )
    return seal(secret, row.zone.public_key).sealed


def seal_once(zone: Zone, username: str, secrets: PlainSecrets, become: str = Credential.Become.AUTO) -> str:
    """The secrets sealed to the zone, kept nowhere. Raises ValidationError with messages that hold no secret."""
    return _seal_into(Credential(name=ONE_TIME, zone=zone, username=username, become=become), secrets)


def store_credential_set(several: CredentialSet, values: dict[str, Any]) -> CredentialSet:
    """Write a set; `credentials` of the values are its members in order, and stay as they are where not given."""
    members = values.pop("credentials", None)
    with transaction.atomic():
        for name, value in values.items():
            setattr(several, name, value)
        several.save()
        if members is not None:
            several.entries.all().delete()
            for position, credential in enumerate(members):
                several.entries.create(credential=credential, position=position)
    return CredentialSet.objects.prefetch_related("entries").get(pk=several.pk)


def _check_lengths(secrets: PlainSecrets) -> None:
    bounds = {
        "password": MAX_PASSWORD_CHARS,
        "passphrase": MAX_PASSWORD_CHARS,
        "become_password": MAX_PASSWORD_CHARS,
        "private_key": MAX_KEY_CHARS,
        "certificate": MAX_KEY_CHARS,
        "vault_ca_certificate": MAX_KEY_CHARS,
        "vault_token": MAX_PASSWORD_CHARS,
        "vault_url": 2048,
        "vault_path": 1024,
        "vault_mount": 255,
        "vault_namespace": 255,
    }
    too_long = {
        name: f"at most {most} characters" for name, most in bounds.items() if len(getattr(secrets, name)) > most
    }
    if too_long:
        raise ValidationError(too_long)


def _kind(secrets: PlainSecrets, *, has_key: bool) -> str:
    if secrets.vault_url:
        return Credential.Kind.VAULT
    if secrets.certificate.strip():
        return Credential.Kind.CERTIFICATE
    return Credential.Kind.PRIVATE_KEY if has_key else Credential.Kind.PASSWORD


def _read_private_key(secrets: PlainSecrets) -> UsableKey | None:
    """The key that was typed in or is to be made. Raises ValidationError."""
    if secrets.generate and secrets.private_key.strip():
        raise ValidationError({"generate": "either give a private key or have one made"})
    if secrets.generate:
        if secrets.generate not in list(KeyType):
            raise ValidationError({"generate": f"choose one of {', '.join(KeyType)}"})
        return generate_key(KeyType(secrets.generate))
    if not secrets.private_key.strip():
        return None
    try:
        return load_private_key(secrets.private_key, secrets.passphrase)
    except ValueError as error:
        raise ValidationError({"private_key": str(error)}) from None


def _certificate_end(secrets: PlainSecrets, key: UsableKey | None) -> datetime | None:
    if not secrets.certificate.strip():
        return None
    if key is None:
        raise ValidationError({"certificate": "give the private key it belongs to, too"})
    try:
        return certificate_end(secrets.certificate, key)
    except ValueError as error:
        raise ValidationError({"certificate": str(error)}) from None


def _read_vault(secrets: PlainSecrets) -> VaultSource | None:
    """Where the worker is to fetch the secret. Raises ValidationError."""
    if not secrets.vault_url:
        return None
    if secrets.password or secrets.private_key.strip() or secrets.generate:
        raise ValidationError({"vault_url": "a credential has its secret here or in a Vault, not both"})
    if not _VAULT_URL.fullmatch(secrets.vault_url):
        raise ValidationError({"vault_url": "give it as https://HOST:PORT and nothing more"})
    missing = [name for name in ("vault_token", "vault_path") if not getattr(secrets, name)]
    if missing:
        raise ValidationError({missing[0]: "needed to ask a Vault"})
    if secrets.vault_engine not in {"", *VaultEngine}:
        raise ValidationError({"vault_engine": f"choose one of {', '.join(VaultEngine)}"})
    engine = VaultEngine(secrets.vault_engine or VaultEngine.KV2)
    return VaultSource(
        url=secrets.vault_url,
        token=secrets.vault_token,
        engine=engine,
        mount=secrets.vault_mount or ("ssh" if engine is VaultEngine.SSH_OTP else "secret"),
        path=secrets.vault_path,
        namespace=secrets.vault_namespace,
        ca_certificate=secrets.vault_ca_certificate,
    )


@dataclass(frozen=True)
class HostOptions:
    """What hosts that are added together have in common."""

    zone: Zone
    credential: Credential | None = None
    credential_set: CredentialSet | None = None
    jump_host: JumpHost | None = None
    accept_new_host_key: bool = False
    staging_directory: str = ""
    tags: tuple[str, ...] = ()
    origin: str = Host.Origin.ADDED


@dataclass(frozen=True)
class AddedHosts:
    """New rows, and how many of the named hosts were there already."""

    created: list[Host]
    existing: int


def add_hosts(lines: Iterable[str], options: HostOptions) -> AddedHosts:
    """Add what the lines name (`host`, `host:port`, networks); hosts that are there stay as they are.

    User names in the lines are refused: the credential has one. Raises ValidationError with the line's number.
    """
    _check_same_zone(options)
    try:
        targets = parse_lines(lines)
    except TargetError as error:
        raise ValidationError(str(error)) from None
    named = next((target for target in targets if target.username), None)
    if named is not None:
        raise ValidationError(f"{named.username}@{named.label}: the user name belongs into the credential")
    with transaction.atomic():
        return _insert_hosts(targets, options)


def hosts_at(lines: Iterable[str], options: HostOptions, *, most: int) -> list[Host]:
    """The hosts that the lines name; those the zone does not have are added. Raises ValidationError."""
    _check_same_zone(options)
    try:
        targets = parse_lines(lines)
    except TargetError as error:
        raise ValidationError({"targets": str(error)}) from None
    if len(targets) > most:
        raise ValidationError({"targets": f"{len(targets)} hosts; at most {most} at once"})
    if named := next((target for target in targets if target.username), None):
        raise ValidationError({"targets": f"{named.label}: the user name belongs into the credential"})
    with transaction.atomic():
        _insert_hosts(targets, options)
        return list(_rows_at([_key(_new_host(target, options)) for target in targets], options.zone).values())


def import_hosts(candidates: Sequence[Candidate], options: HostOptions) -> AddedHosts:
    """Add hosts that an inventory names, each with its own name and place for the probe, tags beside the common ones.

    Hosts that are there stay as they are but for the tags, which they get too. Raises ValidationError.
    """
    _check_same_zone(options)
    with transaction.atomic():
        known = set(Host.objects.filter(zone=options.zone).values_list("transport", "address", "port"))
        hosts = {}
        for candidate in candidates:
            host = _new_host(candidate.target, options)
            host.name = candidate.name
            host.staging_directory = candidate.staging_directory or options.staging_directory
            hosts[host.transport, host.address, host.port] = host
        Host.objects.bulk_create(
            [host for key, host in hosts.items() if key not in known], batch_size=INSERT_ROWS, ignore_conflicts=True
        )
        rows = _rows_at(list(hosts), options.zone)
        created = [row for row in rows.values() if row.pk == hosts[_key(row)].pk]
        _set_own_tags(candidates, rows, options.tags)
        record_created([(host, _described(host, options)) for host in created])
    return AddedHosts(created, len(rows) - len(created))


def _key(host: Host) -> tuple[str, str, int]:
    return host.transport, host.address, host.port


def _rows_at(keys: list[tuple[str, str, int]], zone: Zone) -> dict[tuple[str, str, int], Host]:
    """The rows of these endpoints, read in batches."""
    wanted, rows = set(keys), {}
    addresses = sorted({address for _, address, _ in keys})
    for start in range(0, len(addresses), INSERT_ROWS):
        part = addresses[start : start + INSERT_ROWS]
        found = Host.objects.filter(zone=zone, address__in=part).defer("profile")
        rows.update({_key(row): row for row in found if _key(row) in wanted})
    return rows


def _set_own_tags(
    candidates: Sequence[Candidate], rows: dict[tuple[str, str, int], Host], common: tuple[str, ...]
) -> None:
    """Hosts with the same tags together, so that a thousand hosts of ten groups are ten writes."""
    groups: dict[tuple[str, ...], list[Host]] = {}
    for candidate in candidates:
        transport = Host.Transport.LOCAL if candidate.target.is_local else Host.Transport.SSH
        row = rows.get((transport, candidate.target.address, candidate.target.port))
        if row is not None:
            groups.setdefault(tuple(dict.fromkeys([*common, *candidate.tags])), []).append(row)
    for tags, hosts in groups.items():
        set_tags(hosts, tags)


def add_host(address: str, options: HostOptions, *, name: str = "") -> Host:
    """Add one host, or find the one with this endpoint. Raises ValidationError."""
    added = add_hosts([address], options)
    host = added.created[0] if added.created else _find_host(address, options.zone)
    if name and added.created:
        host.name = name
        host.save(update_fields=["name"])
    return host


def _find_host(address: str, zone: Zone) -> Host:
    return Host.objects.get(_endpoint(parse_lines([address])[0]), zone=zone)


def _endpoint(target: Target) -> Q:
    transport = Host.Transport.LOCAL if target.is_local else Host.Transport.SSH
    return Q(transport=transport, address=target.address, port=target.port)


def _check_same_zone(options: HostOptions) -> None:
    for thing in (options.credential, options.credential_set, options.jump_host):
        if thing is not None and thing.zone_id != options.zone.pk:
            raise ValidationError(f"{thing} belongs to zone {thing.zone}, the hosts to zone {options.zone}")


def _insert_hosts(targets: list[Target], options: HostOptions) -> AddedHosts:
    known = set(Host.objects.filter(zone=options.zone).values_list("transport", "address", "port"))
    hosts = [_new_host(target, options) for target in targets]
    new = [host for host in hosts if (host.transport, host.address, host.port) not in known]
    # Somebody else may add the same host meanwhile: theirs stays.
    Host.objects.bulk_create(new, batch_size=INSERT_ROWS, ignore_conflicts=True)
    created = list(Host.objects.filter(pk__in=[host.pk for host in new]))
    set_tags(created, options.tags)
    record_created([(host, _described(host, options)) for host in created])
    return AddedHosts(created, len(targets) - len(created))


def _described(host: Host, options: HostOptions) -> dict[str, str]:
    """What the audit log says of a new host."""
    return {
        "address": f"{host.address}:{host.port}" if host.transport == Host.Transport.SSH else "this machine",
        "zone": str(options.zone),
        "credential": str(options.credential or ""),
        "jump_host": str(options.jump_host or ""),
        "accept_new_host_key": str(options.accept_new_host_key),
        "staging_directory": host.staging_directory,
        "tags": ", ".join(options.tags),
    }


def _new_host(target: Target, options: HostOptions) -> Host:
    return Host(
        name=target.label,
        transport=Host.Transport.LOCAL if target.is_local else Host.Transport.SSH,
        address=target.address,
        port=target.port,
        zone=options.zone,
        credential=options.credential,
        credential_set=options.credential_set,
        jump_host=options.jump_host,
        accept_new_host_key=options.accept_new_host_key,
        staging_directory=options.staging_directory,
        origin=options.origin,
        # What is scanned once is no concern of schedules.
        is_active=options.origin != Host.Origin.AD_HOC,
    )


def set_tags(hosts: list[Host], names: Iterable[str]) -> None:
    """Give the hosts these tags beside those they have; unknown tags are made. Raises ValidationError."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if wrong := [name for name in wanted if not _TAG_NAME.fullmatch(name)]:
        raise ValidationError(f"{wrong[0]!r} is no tag: use letters, digits, - and _")
    Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
    tags = Tag.objects.filter(name__in=wanted)
    through = Host.tags.through
    links = [through(host_id=host.pk, tag_id=tag.pk) for tag in tags for host in hosts]
    through.objects.bulk_create(links, batch_size=INSERT_ROWS, ignore_conflicts=True)


def remove_tags(hosts: list[Host], names: Iterable[str]) -> None:
    Host.tags.through.objects.filter(host__in=hosts, tag__name__in=list(names)).delete()


def pin_host_keys(host: Host, text: str, actor: User | None = None) -> list[HostKey]:
    """Pin the keys of known_hosts or ssh-keyscan lines. Raises ValidationError that names the line."""
    try:
        pins = parse_host_keys(text)
    except ValueError as error:
        raise ValidationError({"host_keys": str(error)}) from None
    if not pins:
        raise ValidationError({"host_keys": "no host key"})
    with transaction.atomic():
        keys = [_pin(host, pin, timezone.now()) for pin in pins]
        _audit_keys(host, [], [key.fingerprint for key in keys], actor)
    return keys


def _pin(host: Host, pin: HostKeyPin, now: datetime) -> HostKey:
    key, is_new = HostKey.objects.get_or_create(
        host=host,
        fingerprint=fingerprint(pin.public_key),
        defaults={
            "key_type": pin.key_type,
            "public_key": pin.public_key,
            "status": HostKey.Status.PINNED,
            "first_seen_at": now,
            "last_seen_at": now,
        },
    )
    if not is_new and key.status != HostKey.Status.PINNED:
        key.status = HostKey.Status.PINNED
        key.save(update_fields=["status"])
    return key


def accept_host_key(key: HostKey, actor: User | None = None) -> None:
    """Trust a key that was shown and refused; the host's other keys of that type are no longer accepted.

    The finding about the change is closed in the actor's name. Raises ValidationError when the key is pinned already.
    """
    with transaction.atomic():
        host = Host.objects.select_for_update(no_key=True).get(pk=key.host_id)
        key.refresh_from_db()
        if key.status == HostKey.Status.PINNED:
            raise ValidationError("this key is pinned already")
        replaced = _reject_keys(host, key.key_type)
        key.status = HostKey.Status.PINNED
        key.save(update_fields=["status"])
        if host.state == Host.State.KEY_CHANGED:
            host.state, host.state_reason = Host.State.NEW, ""
            host.save(update_fields=["state", "state_reason"])
        _audit_keys(host, replaced, [key.fingerprint], actor)
        resolve_host_key_findings(host, key.fingerprint, actor)


def _reject_keys(host: Host, key_type: str) -> list[str]:
    """Stop accepting the host's pinned keys of this type; returns their fingerprints."""
    keys = host.host_keys.filter(status=HostKey.Status.PINNED, key_type=key_type)
    for key in keys:
        key.status = HostKey.Status.REJECTED
        key.save(update_fields=["status"])
    return [key.fingerprint for key in keys]


def _audit_keys(host: Host, before: list[str], after: list[str], actor: User | None) -> None:
    """Which keys a host may show decides whom it is trusted to be: always in the audit log, with who said so."""
    changes = {"host_keys": [", ".join(before), ", ".join(after)]}
    LogEntry.objects.log_create(host, force_log=True, action=LogEntry.Action.UPDATE, changes=changes, actor=actor)
