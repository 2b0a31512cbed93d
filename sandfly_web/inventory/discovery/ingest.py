"""Takes what a part of a sweep found into the inventory: one transaction, safe to run twice."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models.functions import Coalesce

from sandfly_web.accounts.audit import record_created
from sandfly_web.inventory.discovery.identity import Facts, Verdict, judge
from sandfly_web.inventory.discovery.services import end, known_hosts, part_addresses, pins_of, usable_credentials
from sandfly_web.inventory.facts import host_facts
from sandfly_web.inventory.hostkeys import fingerprint
from sandfly_web.inventory.models import Credential, Host, HostKey, Sweep
from sandfly_web.inventory.services import set_tags
from sandfly_web.scans.cleaning import clean_text
from sandfly_web.scans.models import Scan
from sandfly_web.scans.services import RuleChoice, request_scans
from scanners.contract import Answer, DiscoverReport, decode_discovered

log = logging.getLogger(__name__)

INSERT_ROWS = 1000
MAX_FAULTS = 200
MAX_CLAIMS = 1000
# Where a host is whose address another one has now; such a name never resolves (RFC 2606).
NOWHERE = "{}.invalid"


def store_report(data: str | bytes, now: datetime) -> bool:
    """Store a `DiscoverReport`, as JSON text; returns whether a sweep waits for it."""
    try:
        report = decode_discovered(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        log.error("a report of a sweep is dropped: %s", clean_text(str(error), 500))  # noqa: TRY400
        return False
    with transaction.atomic():
        sweep = (
            Sweep.objects.select_for_update(of=("self",), no_key=True)
            .select_related("discovery__zone", "discovery__credential_set", "discovery__jump_host")
            .filter(pk=report.sweep_id, part=report.part, attempt=report.attempt, status=Sweep.Status.RUNNING)
            .first()
        )
        if sweep is None:
            log.info("part %d of sweep %d is dropped, nobody waits for it", report.part, report.sweep_id)
            return False
        if report.failure is not None:
            end(sweep, Sweep.Status.FAILED, now, clean_text(report.failure.message, 1024))
        elif sweep.is_confirming:
            _Settling(sweep, report, now).run()
        else:
            _TakingIn(sweep, report, now).run()
    return True


@dataclass
class _Found:
    """An answer with the key that its host proved to hold."""

    answer: Answer
    fingerprint: str


@dataclass
class _Storing:
    """What both kinds of parts do."""

    sweep: Sweep
    report: DiscoverReport
    now: datetime
    new: list[_Found] = field(default_factory=list)
    changed: list[Host] = field(default_factory=list)

    def fault(self, answer: Answer, words: str) -> None:
        self.sweep.fault_count += 1
        if len(self.sweep.faults) < MAX_FAULTS:
            endpoint = {"address": answer.address, "port": answer.port, "banner": clean_text(answer.banner, 255)}
            self.sweep.faults.append(endpoint | {"reason": clean_text(words, 500)})

    def found(self, answer: Answer) -> _Found | None:
        """None, with a fault, when no usable key was shown."""
        if answer.host_key is None:
            self.fault(answer, answer.failure.message if answer.failure else "it showed no host key")
            return None
        try:
            return _Found(answer, fingerprint(answer.host_key.public_key))
        except ValueError:
            self.fault(answer, "its host key is not base64")
            return None

    def enrol(self) -> None:
        """Add the new ones as hosts, with the key they hold, the credential that got in, and tags."""
        discovery = self.sweep.discovery
        credentials = {str(one.pk): one for one in usable_credentials(discovery)}
        hosts = [self._new_host(found, credentials) for found in self.new]
        Host.objects.bulk_create(hosts, batch_size=INSERT_ROWS, ignore_conflicts=True)
        made = set(Host.objects.filter(pk__in=[host.pk for host in hosts]).values_list("pk", flat=True))
        pairs = [(host, found) for host, found in zip(hosts, self.new, strict=True) if host.pk in made]
        keys = [self._new_key(host, found) for host, found in pairs]
        HostKey.objects.bulk_create(keys, batch_size=INSERT_ROWS)
        created = [host for host, _ in pairs]
        tags = set(discovery.tags.values_list("name", flat=True))
        tags |= set(discovery.schedules.values_list("host_tags__name", flat=True)) - {None}
        set_tags(created, sorted(tags))
        said = {"zone": str(discovery.zone), "discovery": str(discovery)}
        record_created([(host, {"address": f"{host.address}:{host.port}", **said}) for host in created])
        self.sweep.enrolled += len(created)

    def _new_host(self, found: _Found, credentials: dict[str, Credential]) -> Host:
        answer, discovery = found.answer, self.sweep.discovery
        facts = host_facts(answer.profile) if answer.profile else {}
        return Host(
            name=facts.get("hostname") or answer.address,
            address=answer.address,
            port=answer.port,
            zone=discovery.zone,
            credential=credentials.get(answer.credential),
            credential_set=discovery.credential_set,
            jump_host=discovery.jump_host,
            origin=Host.Origin.DISCOVERED,
            discovery=discovery,
            state=Host.State.ACTIVE,
            last_seen_at=self.report.finished_at,
            **facts,
        )

    def _new_key(self, host: Host, found: _Found) -> HostKey:
        pin = found.answer.host_key
        return HostKey(
            host=host,
            key_type=clean_text(pin.key_type, 64) if pin else "",
            public_key=pin.public_key if pin else "",
            fingerprint=found.fingerprint,
            status=HostKey.Status.PINNED,
            first_seen_at=self.now,
            last_seen_at=self.now,
        )

    def look_into_changed(self) -> None:
        """A visit says what a changed key means: it stops before it signs in, and that is a critical finding."""
        ids = [host.pk for host in self.changed if host.state != Host.State.KEY_CHANGED and host.is_active]
        busy = Scan.objects.filter(host__in=ids, status__in=Scan.UNFINISHED).values_list("host", flat=True)
        hosts = list(Host.objects.filter(pk__in=set(ids) - set(busy)).defer("profile"))
        if hosts:
            request_scans(hosts, RuleChoice())


class _TakingIn(_Storing):
    """A part of the networks."""

    def run(self) -> None:
        sweep = self.sweep
        addresses = part_addresses(sweep)
        known = known_hosts(sweep, addresses)
        wanted = set(addresses)
        answers = {
            answer.address: answer
            for answer in self.report.answers
            if answer.address in wanted and answer.port == sweep.discovery.port
        }
        founds = [found for answer in answers.values() if (found := self.found(answer))]
        owners = self.owners(founds)
        seen = [host for found in founds if (host := self.place(found, known.get(found.answer.address), owners))]
        self.back(seen)
        self.silent([host for address, host in known.items() if address not in answers])
        self.enrol()
        self.look_into_changed()
        sweep.answered += len(answers)
        sweep.position = min(sweep.total, sweep.position + len(addresses))
        sweep.part, sweep.attempt, sweep.part_expires_at = sweep.part + 1, 0, None
        if sweep.position < sweep.total:
            sweep.save()
        elif sweep.claims:
            sweep.is_confirming = True
            sweep.save()
        else:
            end(sweep, Sweep.Status.DONE, self.now)

    def owners(self, founds: list[_Found]) -> dict[str, list[Host]]:
        """The zone's hosts that a shown key is pinned for."""
        keys = HostKey.objects.filter(
            fingerprint__in=[found.fingerprint for found in founds],
            status=HostKey.Status.PINNED,
            host__zone=self.sweep.discovery.zone_id,
        ).select_related("host")
        owners: dict[str, list[Host]] = {}
        for key in keys.order_by("pk"):
            owners.setdefault(key.fingerprint, []).append(key.host)
        return owners

    def place(self, found: _Found, host: Host | None, owners: dict[str, list[Host]]) -> Host | None:
        """The known host that this is, or None: then it is noted as new, claimed, changed or a fault."""
        answer = found.answer
        mine = {fingerprint(pin.public_key) for pin in pins_of(host)} if host else set()
        if host is not None and (found.fingerprint in mine or not mine):
            return host
        owner = self.owner_of(found, owners)
        if owner is not None and (host is not None or answer.profile is not None):
            self.claim(found, owner)
        elif host is not None and host.retired_at is None:
            self.changed.append(host)
        elif answer.profile is None:
            self.fault(answer, answer.failure.message if answer.failure else "it was not signed in to")
        else:
            if host is not None:
                displace(host, self.now)
            self.new.append(found)
        return None

    def owner_of(self, found: _Found, owners: dict[str, list[Host]]) -> Host | None:
        """Of the hosts with this key the one with this machine-id too, or that nobody has signed in to yet."""
        profile = found.answer.profile
        # Whether a host is still where it was can only be asked the way it is reached.
        way = self.sweep.discovery.jump_host_id
        candidates = [host for host in owners.get(found.fingerprint, []) if host.jump_host_id == way]
        if profile is None or not profile.machine_id:
            return candidates[0] if candidates else None
        exact = [host for host in candidates if host.machine_id == profile.machine_id]
        return next(iter(exact or [host for host in candidates if not host.machine_id]), None)

    def claim(self, found: _Found, owner: Host) -> None:
        pin = found.answer.host_key
        if len(self.sweep.claims) >= MAX_CLAIMS or pin is None:
            self.fault(found.answer, f"it holds the key of {owner.name}; too many do to look into each")
            return
        endpoint = {"address": found.answer.address, "port": found.answer.port}
        key = {"key_type": pin.key_type, "public_key": pin.public_key}
        self.sweep.claims.append(endpoint | key | {"host": str(owner.pk)})

    def back(self, hosts: list[Host]) -> None:
        """They answer with their own key. What a visit said of them stays, but for being offline."""
        rows = Host.objects.filter(pk__in=[host.pk for host in hosts])
        rows.update(offline_since=None, retired_at=None)
        offline = rows.filter(state=Host.State.OFFLINE)
        offline.filter(last_seen_at__isnull=True).update(state=Host.State.NEW, state_reason="")
        offline.update(state=Host.State.ACTIVE, state_reason="")

    def silent(self, hosts: list[Host]) -> None:
        """Only those that this discovery is for: others may be reached in ways that a sweep has not."""
        discovery = self.sweep.discovery
        mine = [
            host.pk
            for host in hosts
            if host.discovery_id == discovery.pk and host.jump_host_id == discovery.jump_host_id
        ]
        Host.objects.filter(pk__in=mine).update(
            state=Host.State.OFFLINE,
            state_reason=f"it did not answer when discovery {self.sweep.discovery} looked",
            offline_since=Coalesce("offline_since", self.now),
        )


class _Settling(_Storing):
    """The last part: hosts that answer from a new address, asked for at the old one too."""

    def run(self) -> None:
        sweep = self.sweep
        answers = {(answer.address, answer.port): answer for answer in self.report.answers}
        owners = {
            str(host.pk): host
            for host in Host.objects.select_for_update(no_key=True).filter(
                pk__in=[claim["host"] for claim in sweep.claims]
            )
        }
        moves: dict[UUID, Answer] = {}
        for claim in sweep.claims:
            owner = owners.get(claim["host"])
            answer = answers.get((claim["address"], claim["port"]))
            if owner is not None and answer is not None:
                self.settle(owner, answer, answers.get((owner.address, owner.port)), moves)
        self.move(list(owners.values()), moves)
        self.enrol()
        self.look_into_changed()
        end(sweep, Sweep.Status.DONE, self.now)

    def settle(self, owner: Host, answer: Answer, old: Answer | None, moves: dict[UUID, Answer]) -> None:
        if answer.profile is None:
            self.fault(answer, answer.failure.message if answer.failure else "it was not signed in to")
            return
        found = self.found(answer)
        if found is None:
            return
        there = None
        if old is not None and old.host_key is not None and old.host_key == answer.host_key:
            # It answers with its key; without its facts that is all there is to go by.
            there = Facts.of(old.profile) if old.profile else Facts(answer.profile.machine_id, "", "")
        verdict = judge(owner.machine_id, Facts.of(answer.profile), there)
        if verdict == Verdict.MOVED and owner.pk not in moves:
            moves[owner.pk] = answer
        elif verdict == Verdict.SECOND_ADDRESS:
            endpoint = f"{answer.address}:{answer.port}"
            owner.other_addresses = sorted({*owner.other_addresses, endpoint})
            owner.save(update_fields=["other_addresses"])
        else:
            self.place_beside(found)

    def place_beside(self, found: _Found) -> None:
        """A host of its own, though it holds the key of another; where one is known already its key has changed."""
        answer, discovery = found.answer, self.sweep.discovery
        there = Host.objects.filter(
            zone=discovery.zone_id, transport=Host.Transport.SSH, address=answer.address, port=answer.port
        ).first()
        if there is None:
            self.new.append(found)
        else:
            self.changed.append(there)

    def move(self, owners: list[Host], moves: dict[UUID, Answer]) -> None:
        """Everybody leaves before anybody arrives, so that two hosts may swap their addresses."""
        movers = [owner for owner in owners if owner.pk in moves]
        before = {owner.pk: f"{owner.address}:{owner.port}" for owner in movers}
        for owner in movers:
            Host.objects.filter(pk=owner.pk).update(address=NOWHERE.format(owner.pk))
        for owner in movers:
            answer = moves[owner.pk]
            blocking = Host.objects.filter(
                zone=owner.zone_id, transport=Host.Transport.SSH, address=answer.address, port=answer.port
            )
            for other in blocking:
                displace(other, self.now)
            owner.address, owner.port = answer.address, answer.port
            owner.state, owner.state_reason = Host.State.ACTIVE, f"it moved here from {before[owner.pk]}"
            owner.offline_since = owner.retired_at = None
            owner.save(update_fields=["address", "port", "state", "state_reason", "offline_since", "retired_at"])
        self.sweep.moved += len(movers)


def displace(host: Host, now: datetime) -> None:
    """Another host has its address; where it is now, if anywhere, nobody knows."""
    reason = f"another host answers at its address {host.address}:{host.port}"
    host.address, host.state, host.state_reason = NOWHERE.format(host.pk), Host.State.OFFLINE, reason
    host.offline_since = host.offline_since or now
    host.save(update_fields=["address", "state", "state_reason", "offline_since"])


def summary(sweep: Sweep) -> dict[str, Any]:
    """How far it is: `percent` of the addresses were looked at."""
    done = 100 if sweep.status == Sweep.Status.DONE else 100 * sweep.position // max(1, sweep.total)
    return {"percent": done, "is_confirming": sweep.is_confirming and sweep.status == Sweep.Status.RUNNING}
