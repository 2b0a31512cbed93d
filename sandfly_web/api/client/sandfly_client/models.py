"""What the API answers and takes.

Made from the OpenAPI document by sandfly_web/api/client/generate.py; changes belong there.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

Action = Literal["acknowledge", "assign", "comment", "close", "false_positive", "reopen", "snooze", "unsnooze"]
BaselineState = Literal["draft", "enforced", "paused"]
Become = Literal["auto", "none", "sudo", "su", "doas"]
ChangeKind = Literal["appeared", "gone", "changed"]
Clock = Literal["host", "scanner"]
CredentialKind = Literal["password", "private_key", "certificate", "vault"]
Draft = Literal["exact", "thing", "rule"]
FindingEventEnum = Literal[
    "created",
    "reopened",
    "acknowledged",
    "assigned",
    "commented",
    "snoozed",
    "woke",
    "closed",
    "false_positive",
    "allowed",
    "collected",
]
FindingStatus = Literal["open", "acknowledged", "closed", "false_positive", "allowed"]
HostKeyStatus = Literal["pinned", "rejected"]
HostOrigin = Literal["added", "discovered", "ad_hoc"]
HostState = Literal["new", "active", "offline", "auth_failed", "key_changed", "unsupported"]
ImportFormat = Literal["auto", "list", "csv", "ansible-ini", "ansible-yaml", "ssh-config"]
IndicatorFormat = Literal["text", "csv", "stix", "misp"]
IndicatorKind = Literal["md5", "sha1", "sha256", "sha512", "ip", "domain", "path", "filename", "key_fingerprint"]
KeyRemovalKind = Literal["remove", "deduplicate"]
KeyRemovalState = Literal["requested", "confirmed", "done", "rejected"]
LineKind = Literal[
    "found",
    "found_last",
    "triage",
    "visit",
    "started",
    "booted",
    "loaded",
    "login",
    "logout",
    "command",
    "log",
    "password",
    "scheduled",
    "expires",
    "modified",
    "changed",
    "created",
    "accessed",
    "installed",
    "built",
    "other",
    "appeared",
    "altered",
    "gone",
]
Precision = Literal["second", "scan"]
Priority = Literal["low", "normal", "high"]
Role = Literal["viewer", "analyst", "responder", "operator", "admin"]
RuleOrigin = Literal["catalog", "local", "pack"]
RuleOutcome = Literal["alert", "error", "skipped"]
RuleType = Literal["detection", "policy", "recon", "incident"]
ScanStatus = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
Scope = Literal["all", "hosts", "tags"]
Severity = Literal["informational", "low", "medium", "high", "critical"]
Source = Literal["record", "forensic", "finding", "scan", "event"]
SshKeyPlaceKind = Literal["authorized_key", "private_key", "known_host"]
Standing = Literal["banned", "protected"]
SweepStatus = Literal["running", "done", "failed", "cancelled"]
Transport = Literal["ssh", "local"]
Use = Literal["user", "host", "other"]


class Accepted(Struct, frozen=True, kw_only=True):
    closed: int


class Allowlist(Struct, frozen=True, kw_only=True):
    id: UUID
    title: str
    reason: str
    rule: UUID | None
    rule_name: str | None
    subject: str
    detection: str
    scope: str
    hosts: tuple[UUID, ...]
    tags: tuple[str, ...]
    owner: str | None
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    is_active: bool
    hidden_count: int


class Baseline(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str | UnsetType = UNSET
    subjects: dict[str, str]
    level: str | UnsetType = UNSET
    model_hosts: tuple[UUID, ...] | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    ignore_containers: bool | UnsetType = UNSET
    ignore_allowed: bool | UnsetType = UNSET
    report_missing: bool | UnsetType = UNSET
    auto_append: bool | UnsetType = UNSET
    state: str
    version: int
    entry_count: int
    created_at: datetime


class BaselineVersion(Struct, frozen=True, kw_only=True):
    number: int
    action: str
    comment: str | UnsetType = UNSET
    added: int | UnsetType = UNSET
    removed: int | UnsetType = UNSET
    actor: str | None
    created_at: datetime


class Batch(Struct, frozen=True, kw_only=True):
    """Scans that were asked for together; follow them with `GET /batches/{id}` and `GET /scans?batch=`."""

    batch: UUID
    scans: tuple[Scan, ...]


class Bucket(Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    total: int
    counts: dict[str, int]


class Callback(Struct, frozen=True, kw_only=True):
    """How far a call is. Of its address only the host is told: the rest may be a secret."""

    id: UUID
    host: str
    attempts: int
    next_try_at: datetime | None
    delivered_at: datetime | None
    error: str


class CallbackSecret(Struct, frozen=True, kw_only=True):
    """`Sandfly-Signature` is `sha256=` and the hexadecimal HMAC-SHA-256 of the body under `secret`, as text."""

    secret: str
    header: str
    algorithm: str


class Candidate(Struct, frozen=True, kw_only=True):
    address: str
    port: int
    name: str
    tags: tuple[str, ...]


class Change(Struct, frozen=True, kw_only=True):
    kind: str
    record: int
    subject: str
    identity: dict[str, Any]
    changed: tuple[FieldChange, ...]


class Changes(Struct, frozen=True, kw_only=True):
    changes: tuple[Change, ...]
    is_cut: bool


class Collected(Struct, frozen=True, kw_only=True):
    """Follow it with `GET /scans/{scan}`, then read `GET /forensic-records?scan={scan}`."""

    scan: UUID


class Commands(Struct, frozen=True, kw_only=True):
    """What to run on one host, as root."""

    host: UUID
    host_name: str
    address: str
    port: int
    paths: tuple[str, ...]
    script: str


class Credential(Struct, frozen=True, kw_only=True):
    """Secrets go in with every write and are in no answer."""

    id: int
    name: str
    zone: int
    kind: str
    username: str
    become: str | UnsetType = UNSET
    fingerprint: str
    public_key: str
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class CredentialSet(Struct, frozen=True, kw_only=True):
    """Names credentials; their secrets are written where they are."""

    id: int
    name: str
    zone: int
    credentials: tuple[int, ...]
    try_all_passwords: bool | UnsetType = UNSET


class Density(Struct, frozen=True, kw_only=True):
    """How many moments there are in stretches of equal length."""

    is_whole: bool
    buckets: tuple[Bucket, ...]


class Difference(Struct, frozen=True, kw_only=True):
    key: str
    kind: str
    subject: str
    identity: Any
    hosts: int
    first: datetime
    last: datetime


class Discovery(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    is_enabled: bool | UnsetType = UNSET
    zone: int
    ranges: str
    excluded: str | UnsetType = UNSET
    port: int | UnsetType = UNSET
    credentials: tuple[int, ...] | UnsetType = UNSET
    credential_set: int | UnsetType | None = UNSET
    jump_host: int | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    schedules: tuple[int, ...] | UnsetType = UNSET
    interval_s: int | UnsetType = UNSET
    rate_per_s: int | UnsetType = UNSET
    timeout_s: int | UnsetType = UNSET
    retire_after_hours: int | UnsetType | None = UNSET
    next_sweep_at: datetime | None
    created_at: datetime


class Drafted(Struct, frozen=True, kw_only=True):
    """What can be sent to create the entry, but for title and reason."""

    rule: UUID | None
    subject: str
    detection: str
    scope: str
    hosts: tuple[UUID, ...]


class Due(Struct, frozen=True, kw_only=True):
    due_hosts: int


class Event(Struct, frozen=True, kw_only=True):
    id: int
    kind: str
    actor: str | None
    comment: str | UnsetType = UNSET
    created_at: datetime


class Evidence(Struct, frozen=True, kw_only=True):
    digest: str
    evidence: dict[str, Any]
    first_seen_at: datetime
    last_seen_at: datetime


class Export(Struct, frozen=True, kw_only=True):
    """A baseline without hosts and tags, for another server."""

    format: str
    name: str
    description: str | UnsetType = UNSET
    subjects: dict[str, str]
    level: str | UnsetType = UNSET
    ignore_containers: bool | UnsetType = UNSET
    ignore_allowed: bool | UnsetType = UNSET
    report_missing: bool | UnsetType = UNSET
    entries: tuple[dict[str, Any], ...]


class Fault(Struct, frozen=True, kw_only=True):
    """A line or object of the file that is not used."""

    place: str
    reason: str
    text: str


class FieldChange(Struct, frozen=True, kw_only=True):
    name: str
    before: Any
    after: Any


class FilePreview(Struct, frozen=True, kw_only=True):
    format: str
    counts: dict[str, int]
    fault_count: int
    faults: tuple[Fault, ...]


class Finding(Struct, frozen=True, kw_only=True):
    id: UUID
    host: UUID
    host_name: str
    rule: UUID | None
    rule_name: str
    title: str
    subject: str
    thing: str
    level: str
    tags: tuple[str, ...]
    explanation: str
    status: str
    assignee: str | None
    close_reason: str
    closed_at: datetime | None
    allowed_by: UUID | None
    snoozed_until: datetime | None
    woke_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    count: int
    fingerprint: str
    first_scan: UUID | None
    last_scan: UUID | None


class FindingDetail(Struct, frozen=True, kw_only=True):
    """One finding with evidence, its versions, and history."""

    id: UUID
    host: UUID
    host_name: str
    rule: UUID | None
    rule_name: str
    title: str
    subject: str
    thing: str
    level: str
    tags: tuple[str, ...]
    explanation: str
    status: str
    assignee: str | None
    close_reason: str
    closed_at: datetime | None
    allowed_by: UUID | None
    snoozed_until: datetime | None
    woke_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    count: int
    fingerprint: str
    first_scan: UUID | None
    last_scan: UUID | None
    identity: dict[str, Any]
    evidence: dict[str, Any]
    truncated: tuple[str, ...]
    unknown: dict[str, str]
    versions: tuple[Evidence, ...]
    events: tuple[Event, ...]


class FindingEvent(Struct, frozen=True, kw_only=True):
    """With what a reader of the stream needs of the finding."""

    id: int
    kind: str
    actor: str | None
    comment: str
    created_at: datetime
    finding: UUID
    title: str
    level: str
    rule_name: str
    status: str
    host: UUID
    host_name: str


class ForensicRecord(Struct, frozen=True, kw_only=True):
    id: int
    scan: UUID
    rule: UUID | UnsetType | None = UNSET
    rule_name: str
    subject: str
    identity: dict[str, Any]
    data: dict[str, Any]
    truncated: tuple[str, ...]
    unknown: dict[str, str]


class Found(Struct, frozen=True, kw_only=True):
    matched: int
    host_count: int
    looked_at: int
    undecided: dict[str, int]
    is_complete: bool
    records: tuple[Record, ...]


class Host(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str | UnsetType = UNSET
    risk: int
    transport: str
    address: str
    port: int | UnsetType = UNSET
    zone: int
    credential: int | UnsetType | None = UNSET
    credential_set: int | UnsetType | None = UNSET
    jump_host: int | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    accept_new_host_key: bool | UnsetType = UNSET
    staging_directory: str | UnsetType = UNSET
    state: str
    state_reason: str
    origin: str
    discovery: int | None
    offline_since: datetime | None
    retired_at: datetime | None
    other_addresses: tuple[str, ...]
    last_seen_at: datetime | None
    hostname: str
    machine_id: str
    os_name: str
    kernel: str
    architecture: str
    created_at: datetime


class HostDetail(Struct, frozen=True, kw_only=True):
    """One host with what the list leaves out."""

    id: UUID
    name: str | UnsetType = UNSET
    risk: int
    transport: str
    address: str
    port: int | UnsetType = UNSET
    zone: int
    credential: int | UnsetType | None = UNSET
    credential_set: int | UnsetType | None = UNSET
    jump_host: int | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    accept_new_host_key: bool | UnsetType = UNSET
    staging_directory: str | UnsetType = UNSET
    state: str
    state_reason: str
    origin: str
    discovery: int | None
    offline_since: datetime | None
    retired_at: datetime | None
    other_addresses: tuple[str, ...]
    last_seen_at: datetime | None
    hostname: str
    machine_id: str
    os_name: str
    kernel: str
    architecture: str
    created_at: datetime
    profile: Any
    host_keys: tuple[HostKey, ...]
    twins: tuple[Twin, ...]
    risk_trend: tuple[RiskPoint, ...]


class HostKey(Struct, frozen=True, kw_only=True):
    id: int
    key_type: str
    fingerprint: str
    status: str | UnsetType = UNSET
    first_seen_at: datetime
    last_seen_at: datetime


class Imported(Struct, frozen=True, kw_only=True):
    format: str
    created: int
    existing: int
    hosts: tuple[Candidate, ...]
    faults: tuple[str, ...]
    fault_count: int
    notes: tuple[str, ...]


class IndicatorList(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    level: str | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    origin: str | UnsetType = UNSET
    is_active: bool
    format: str
    digest: str
    version: int
    counts: dict[str, int]
    entry_count: int
    duplicate_count: int
    fault_count: int
    imported_at: datetime | None
    imported_by: str | None
    created_at: datetime


class IndicatorListDetail(Struct, frozen=True, kw_only=True):
    """One list with the lines of its file that are not used."""

    id: int
    name: str
    level: str | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    origin: str | UnsetType = UNSET
    is_active: bool
    format: str
    digest: str
    version: int
    counts: dict[str, int]
    entry_count: int
    duplicate_count: int
    fault_count: int
    imported_at: datetime | None
    imported_by: str | None
    created_at: datetime
    faults: tuple[dict[str, str], ...]


class JumpHost(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    zone: int
    address: str
    port: int | UnsetType = UNSET
    credential: int
    via: int | UnsetType | None = UNSET
    host_keys: str | UnsetType = UNSET
    accept_new_host_key: bool | UnsetType = UNSET


class KeyRemoval(Struct, frozen=True, kw_only=True):
    id: UUID
    key: int
    kind: str | UnsetType = UNSET
    host: UUID | UnsetType | None = UNSET
    account: int | UnsetType | None = UNSET
    reason: str
    may_lock_out: bool | UnsetType = UNSET
    state: str
    requested_by: str | None
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision: str
    done_at: datetime | None
    step_count: int
    done_count: int


class KeyZone(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    description: str | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    host_tags: tuple[str, ...]
    key_tags: tuple[str, ...]
    confines_keys: bool | UnsetType = UNSET
    refuses_strangers: bool | UnsetType = UNSET
    level: str | UnsetType = UNSET
    created_at: datetime


class Line(Struct, frozen=True, kw_only=True):
    """A moment of a host."""

    at: datetime
    kind: str
    subject: str
    what: str
    detail: str
    field: str
    level: str
    clock: str
    precision: str
    source: str
    source_id: str


class Me(Struct, frozen=True, kw_only=True):
    id: int
    username: str
    email: str | UnsetType = UNSET
    roles: tuple[str, ...]
    is_superuser: bool | UnsetType = UNSET
    permissions: tuple[str, ...]


class NewToken(Struct, frozen=True, kw_only=True):
    """With the token itself, which no other answer has."""

    id: int
    name: str
    role: str | UnsetType = UNSET
    is_limited_to_hosts: bool
    host_tags: tuple[str, ...] | UnsetType = UNSET
    prefix: str
    created_at: datetime
    expires_at: datetime | UnsetType | None = UNSET
    last_used_at: datetime | None
    token: str


class OneTimeRequest(Struct, frozen=True, kw_only=True):
    """Sealed to the zone at once, used for these scans only, and forgotten with the last of them."""

    username: str
    password: str | UnsetType = UNSET
    private_key: str | UnsetType = UNSET
    passphrase: str | UnsetType = UNSET
    become: Become | UnsetType = UNSET
    become_password: str | UnsetType = UNSET


class Outcome(Struct, frozen=True, kw_only=True):
    rule: UUID
    rule_name: str
    state: str
    reason: str | UnsetType = UNSET
    matched: int | UnsetType = UNSET
    is_truncated: bool | UnsetType = UNSET
    unknown: dict[str, int]


class Preview(Struct, frozen=True, kw_only=True):
    hidden_count: int
    host_count: int
    looked_at: int
    is_cut: bool
    levels: dict[str, int]
    findings: tuple[UUID, ...]


class Progress(Struct, frozen=True, kw_only=True):
    schedule: int
    name: str
    is_enabled: bool
    paused_at: datetime | None
    pause_reason: str
    hosts: int
    due: int
    unfinished: int
    visited: int
    next_due_at: datetime | None


class Queue(Struct, frozen=True, kw_only=True):
    """What waits and what runs. Numbers of the broker are null while it is away; `broker_fault` then says why.

    They are null, too, for those who may know only of some hosts: it counts what belongs to all.
    """

    zones: tuple[ZoneQueue, ...]
    schedules: tuple[Progress, ...]
    paused_batches: tuple[ScanBatch, ...]
    ingest_depth: int | None
    broker_fault: str


class Radius(Struct, frozen=True, kw_only=True):
    host_count: int
    sure_host_count: int
    is_cut: bool
    reached: tuple[Reached, ...]


class Rare(Struct, frozen=True, kw_only=True):
    facts: dict[str, str | None]
    host_count: int
    hosts: tuple[RareHost, ...]
    first_seen_at: datetime
    record: int


class RareHost(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str


class Rarity(Struct, frozen=True, kw_only=True):
    rare: tuple[Rare, ...]
    known_hosts: int
    is_cut: bool


class Reached(Struct, frozen=True, kw_only=True):
    """An account, and the key that it is reached by from another."""

    account: int
    host: UUID
    host_name: str
    username: str
    key: int
    fingerprint: str
    from_account: int | UnsetType | None = UNSET
    hops: int
    is_sure: bool


class Record(Struct, frozen=True, kw_only=True):
    id: int
    host: UUID
    subject: str
    identity: dict[str, Any]
    data: dict[str, Any]
    digest: str
    first_seen_at: datetime
    last_seen_at: datetime
    is_current: bool | UnsetType = UNSET


class Retried(Struct, frozen=True, kw_only=True):
    batch: UUID
    hosts: int


class RiskDay(Struct, frozen=True, kw_only=True):
    id: int
    host: UUID | None
    day: date
    risk: int


class RiskPoint(Struct, frozen=True, kw_only=True):
    day: date
    risk: int


class Rule(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    title: str
    type: str
    subject: str
    level: str
    status: str
    tags: tuple[str, ...]
    origin: str
    is_enabled: bool
    digest: str
    updated_at: datetime


class RuleDetail(Struct, frozen=True, kw_only=True):
    """One rule with its Sigma source."""

    id: UUID
    name: str
    title: str
    type: str
    subject: str
    level: str
    status: str
    tags: tuple[str, ...]
    origin: str
    is_enabled: bool
    digest: str
    updated_at: datetime
    description: str
    source: str


class Scan(Struct, frozen=True, kw_only=True):
    id: UUID
    batch: UUID | None
    host: UUID
    host_name: str
    schedule: int | None
    requested_by: str | None
    finding: UUID | None
    priority: str
    status: str
    phase: str
    error_code: str
    error_message: str
    attempt: int
    worker: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    is_root: bool | None
    alert_count: int
    pass_count: int
    error_count: int
    skipped_count: int


class ScanBatch(Struct, frozen=True, kw_only=True):
    id: UUID
    requested_by: str | None
    created_at: datetime
    is_over: bool
    counts: dict[str, int]
    callback: Callback | None
    paused_at: datetime | None
    pause_reason: str
    is_tripped: bool
    max_cpu_s: int
    max_memory_mib: int
    max_wall_s: int
    max_crashes: int


class ScanDetail(Struct, frozen=True, kw_only=True):
    """One scan with what it cost, what it left, and the rules that did not simply pass."""

    id: UUID
    batch: UUID | None
    host: UUID
    host_name: str
    schedule: int | None
    requested_by: str | None
    finding: UUID | None
    priority: str
    status: str
    phase: str
    error_code: str
    error_message: str
    attempt: int
    worker: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    is_root: bool | None
    alert_count: int
    pass_count: int
    error_count: int
    skipped_count: int
    progress: VisitProgress | None
    timings_s: dict[str, float]
    cost: dict[str, float]
    collectors: tuple[dict[str, Any], ...]
    created_paths: tuple[str, ...]
    removed_paths: tuple[str, ...]
    cleanup_error: str
    rule_outcomes: tuple[Outcome, ...]


class Schedule(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    is_enabled: bool | UnsetType = UNSET
    interval_s: int | UnsetType = UNSET
    jitter_s: int | UnsetType = UNSET
    is_trickle: bool | UnsetType = UNSET
    blackout_start: time | UnsetType | None = UNSET
    blackout_end: time | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    priority: str | UnsetType = UNSET
    nice: int | UnsetType = UNSET
    cpu_percent: int | UnsetType = UNSET
    deadline_s: int | UnsetType = UNSET
    rule_types: tuple[str, ...] | UnsetType = UNSET
    rule_tags: tuple[str, ...] | UnsetType = UNSET
    excluded_rule_tags: tuple[str, ...] | UnsetType = UNSET
    excluded_rules: tuple[str, ...] | UnsetType = UNSET
    rule_percent: int | UnsetType = UNSET
    always_rules: tuple[str, ...] | UnsetType = UNSET
    is_deep: bool | UnsetType = UNSET
    is_drift_check: bool | UnsetType = UNSET
    host_tags: tuple[str, ...] | UnsetType = UNSET
    zones: tuple[str, ...] | UnsetType = UNSET
    max_cpu_s: int | UnsetType = UNSET
    max_memory_mib: int | UnsetType = UNSET
    max_wall_s: int | UnsetType = UNSET
    max_crashes: int | UnsetType = UNSET
    paused_at: datetime | None
    pause_reason: str
    is_tripped: bool
    next_run_at: datetime | None
    created_at: datetime


class Sighting(Struct, frozen=True, kw_only=True):
    """An entry of an active list."""

    kind: str
    value: str
    list: str
    level: str
    description: str
    reference: str


class SshKey(Struct, frozen=True, kw_only=True):
    id: int
    fingerprint: str
    algorithm: str
    bits: int | None
    public_key: str
    hashes: dict[str, str]
    comment: str
    use: str
    name: str | UnsetType = UNSET
    notes: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    standing: str
    standing_reason: str
    is_live: bool
    is_weak: bool
    host_count: int
    first_seen_at: datetime | None
    created_at: datetime


class SshKeyPlace(Struct, frozen=True, kw_only=True):
    id: int
    key: int | UnsetType | None = UNSET
    fingerprint: str | None
    host: UUID
    host_name: str
    account: int | UnsetType | None = UNSET
    username: str | None
    kind: str
    path: str
    line_number: int | UnsetType | None = UNSET
    comment: str | UnsetType = UNSET
    options: Any | UnsetType = UNSET
    copies: int | UnsetType | None = UNSET
    is_restricted: bool | UnsetType = UNSET
    area: str | UnsetType = UNSET
    is_encrypted: bool | UnsetType | None = UNSET
    is_shared: bool | UnsetType = UNSET
    names: Any | UnsetType = UNSET
    is_hashed: bool | UnsetType | None = UNSET
    is_current: bool | UnsetType = UNSET
    first_seen_at: datetime
    seen_at: datetime
    ended_at: datetime | UnsetType | None = UNSET


class Stopped(Struct, frozen=True, kw_only=True):
    stopped_scans: int


class Sweep(Struct, frozen=True, kw_only=True):
    id: int
    discovery: int
    status: str
    reason: str
    started_at: datetime
    finished_at: datetime | None
    total: int
    position: int
    percent: int
    answered: int
    enrolled: int
    moved: int
    retired: int
    fault_count: int
    faults: tuple[dict[str, Any], ...]


class Tag(Struct, frozen=True, kw_only=True):
    id: int
    name: str


class Tagged(Struct, frozen=True, kw_only=True):
    changed: int


class Timeline(Struct, frozen=True, kw_only=True):
    """A page of a timeline, newest first."""

    next: str | None
    previous: str | None
    is_whole: bool
    results: tuple[Line, ...]


class Token(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    role: str | UnsetType = UNSET
    is_limited_to_hosts: bool
    host_tags: tuple[str, ...] | UnsetType = UNSET
    prefix: str
    created_at: datetime
    expires_at: datetime | UnsetType | None = UNSET
    last_used_at: datetime | None


class Triaged(Struct, frozen=True, kw_only=True):
    """`matched` findings fit; the step applies to `applies` of them; `changed` is 0 of a dry run."""

    action: str
    dry_run: bool
    matched: int
    applies: int
    changed: int
    limit: int


class Twin(Struct, frozen=True, kw_only=True):
    host: UUID
    name: str
    shares: str


class VisitProgress(Struct, frozen=True, kw_only=True):
    """Where a visit is at this moment; the percentage is that of the phase, where it is known."""

    phase: str
    percent: int | None


class Widespread(Struct, frozen=True, kw_only=True):
    id: int
    rule: UUID
    rule_name: str
    subject: str
    thing: str
    host_count: int
    watched_count: int
    counted_at: datetime


class Zone(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    description: str | UnsetType = UNSET
    public_key: str | UnsetType = UNSET
    created_at: datetime


class ZoneQueue(Struct, frozen=True, kw_only=True):
    zone: str
    waiting: int
    oldest_waiting: datetime | None
    queued: int | None
    in_flight: int
    workers: int
    phases: dict[str, int]
