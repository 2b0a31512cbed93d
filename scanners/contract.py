"""The messages between web side, worker and probe.

Strict and bounded msgspec structs; this file is the only thing both Python sides share. The probe mirrors the plan and
the report in Go (`probes/internal/plan`, `probes/internal/report`); `tests/golden/` holds one file read by both.
Instants are aware UTC datetimes, kernel times are epoch seconds, durations are seconds.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

PLAN_SCHEMA = 1
REPORT_SCHEMA = 1

SCAN_TASK = "scanners.scan"
INGEST_TASK = "sandfly_web.scans.ingest"
INGEST_QUEUE = "ingest"
ROTATE_TASK = "scanners.rotate_key"
REKEYED_TASK = "sandfly_web.inventory.rekeyed"
DISCOVER_TASK = "scanners.discover"
DISCOVERED_TASK = "sandfly_web.inventory.discovered"


def zone_queue(zone: str) -> str:
    """Name of the Redis queue that the workers of a zone serve."""
    return f"zone.{zone}"


def plan_key(digest: str) -> str:
    """Redis key that holds the plan of this SHA-256 (JSON bytes)."""
    return f"sandfly:plan:{digest}"


def set_key(digest: str) -> str:
    """Redis key that holds the coded values of the `PlanSet` with this SHA-256 (bytes)."""
    return f"sandfly:set:{digest}"


def heartbeat_key(scan_id: str) -> str:
    """Redis key where the worker keeps a `Heartbeat` while it works on the scan; it expires by itself."""
    return f"sandfly:scan:{scan_id}:heartbeat"


def cancel_key(scan_id: str) -> str:
    """Redis key whose presence asks the worker to stop the scan."""
    return f"sandfly:scan:{scan_id}:cancel"


# Longer than any message lives, so that a second delivery of it always finds the first one's mark.
CLAIM_TTL_S = 2 * 86400


def claim_key(scan_id: str, attempt: int) -> str:
    """Redis key that marks an attempt as taken: by the worker that visits, or by the dispatcher that gives it up."""
    return f"sandfly:scan:{scan_id}:claim:{attempt}"


def sweep_claim_key(sweep_id: int, part: int, attempt: int) -> str:
    """The same for a part of a sweep."""
    return f"sandfly:sweep:{sweep_id}:{part}:claim:{attempt}"


def superseded_key(scan_id: str, attempt: int) -> str:
    """Redis key that tells the worker of an attempt that it was believed dead, and that another attempt follows."""
    return f"sandfly:scan:{scan_id}:superseded:{attempt}"


# How long a heartbeat counts, unless SANDFLY_HEARTBEAT_TTL says otherwise, to workers and to the web side alike.
HEARTBEAT_TTL_DEFAULT_S = 15
# Hash of messages that workers took and did not acknowledge yet, as Kombu writes it.
UNACKNOWLEDGED_KEY = "sandfly:unacked:workers"

Name = Annotated[str, Meta(max_length=255)]
Text = Annotated[str, Meta(max_length=4096)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
# An absolute path without empty, "." and ".." parts or control characters.
DIRECTORY_PATTERN = r"^(/(?!\.{1,2}(/|\Z))[^/\x00-\x1f\x7f]+)+\Z"
Directory = Annotated[str, Meta(max_length=255, pattern=DIRECTORY_PATTERN)]
Percent = Annotated[int, Meta(ge=1, le=100)]


class Frozen(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of messages between our own programs: an unknown field is a fault."""


class Secret:
    """A string that never shows itself: repr, str and format give "***"; it cannot be pickled or encoded."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain value; call it only at the place that hands it to the other side."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Secret cannot be pickled")


class Become(StrEnum):
    """How root is reached after login."""

    AUTO = "auto"
    NONE = "none"
    SUDO = "sudo"
    SU = "su"
    DOAS = "doas"


class Transport(StrEnum):
    """How a host is reached."""

    SSH = "ssh"
    LOCAL = "local"


class HostKeyPin(Frozen, frozen=True, kw_only=True):
    """A host key as known_hosts has it: type and base64 blob."""

    key_type: Name
    public_key: Annotated[str, Meta(max_length=16384)]


class SealedCredential(Frozen, frozen=True, kw_only=True):
    """A `CredentialSecret` sealed to a zone's public key (base64 of a libsodium sealed box).

    `id` is the web side's name of it, by which a report says which one got in.
    """

    sealed: Annotated[str, Meta(max_length=262144)]
    id: Name = ""


class VaultEngine(StrEnum):
    """Where in a HashiCorp Vault a secret comes from."""

    KV2 = "kv2"
    SSH_OTP = "ssh_otp"


class VaultSource(Frozen, frozen=True, kw_only=True):
    """A secret that is fetched from a HashiCorp Vault at the time of the visit, by the worker.

    `path` is below the engine's mount: of a KV v2 secret, whose fields are named as those of `CredentialSecret`, or the
    role of an SSH OTP engine. `{host}` in it stands for the host's address.
    """

    url: Annotated[str, Meta(max_length=2048)]
    token: Annotated[str, Meta(max_length=4096)]
    engine: VaultEngine = VaultEngine.KV2
    mount: Name = "secret"
    path: Annotated[str, Meta(max_length=1024)]
    namespace: Name = ""
    ca_certificate: Annotated[str, Meta(max_length=65536)] = ""

    def __repr__(self) -> str:
        return "VaultSource(***)"


class CredentialSecret(Frozen, frozen=True, kw_only=True):
    """What is inside the seal; exists in the clear only in the worker, or on the web side while being typed in."""

    username: Name
    password: Annotated[str, Meta(max_length=4096)] = ""
    private_key: Annotated[str, Meta(max_length=65536)] = ""
    passphrase: Annotated[str, Meta(max_length=4096)] = ""
    become: Become = Become.AUTO
    become_password: Annotated[str, Meta(max_length=4096)] = ""
    certificate: Annotated[str, Meta(max_length=65536)] = ""
    """Of an SSH certificate authority, as `ssh-keygen -s` writes it; for `private_key`."""
    vault: VaultSource | None = None
    id: Name = ""
    """Of the `SealedCredential` that this was opened from; not in the seal."""

    def __repr__(self) -> str:
        return "CredentialSecret(***)"


class JumpEndpoint(Frozen, frozen=True, kw_only=True):
    """One hop of the way to a host; the first of the list is dialled directly."""

    address: Name
    port: Port = 22
    host_keys: list[HostKeyPin] = []
    credential: SealedCredential | None = None
    allow_new_host_key: bool | None = None
    """Whether a key may be learned where none is pinned; None: as the job says of the host."""


class HostEndpoint(Frozen, frozen=True, kw_only=True):
    """Where a host is and which keys it must show."""

    transport: Transport = Transport.SSH
    address: Name
    port: Port = 22
    host_keys: list[HostKeyPin] = []
    jumps: Annotated[list[JumpEndpoint], Meta(max_length=8)] = []
    staging_directory: Directory | None = None
    """The only place where the probe may be put; None: the first of the usual ones that lets programs run."""


class Limits(Frozen, frozen=True, kw_only=True):
    """What a visit may cost the host and the worker.

    Limits nest: probe deadline < visit deadline < job expiry.
    """

    probe_deadline_s: Annotated[int, Meta(ge=1, le=3600)] = 120
    visit_deadline_s: Annotated[int, Meta(ge=1, le=7200)] = 300
    connect_timeout_s: Annotated[int, Meta(ge=1, le=120)] = 15
    cpu_percent: Percent = 50
    nice: Annotated[int, Meta(ge=0, le=19)] = 19
    memory_bytes: Annotated[int, Meta(ge=16 << 20)] = 64 << 20
    report_bytes: Annotated[int, Meta(ge=1 << 10)] = 32 << 20
    matches_per_rule: Annotated[int, Meta(ge=1)] = 1000
    value_bytes: Annotated[int, Meta(ge=64)] = 4096


class ScanJob(Frozen, frozen=True, kw_only=True):
    """Web side to worker: one visit to one host."""

    scan_id: Name
    attempt: int = 1
    zone: Name
    host: HostEndpoint
    credentials: Annotated[list[SealedCredential], Meta(max_length=8)] = []
    plan_digest: Digest
    limits: Limits = Limits()
    expires_at: datetime
    allow_new_host_key: bool = False
    try_all_passwords: bool = False
    """Whether a second password of the same user may be tried after the first was refused."""


class RotateRequest(Frozen, frozen=True, kw_only=True):
    """Web side to worker: seal these, which are sealed to the zone's key `public_key`, to a new one.

    `challenge` is sealed to it, too: whoever cannot open it cannot answer (`prove_rekeyed`).
    """

    zone: Name
    public_key: Name
    challenge: Text
    credentials: list[SealedCredential] = []


class Rekeyed(Frozen, frozen=True, kw_only=True):
    """Worker to web side: the same sealed to `public_key`, in the order of `replaced`, or why it could not be done."""

    zone: Name
    old_public_key: Name
    public_key: Name = ""
    replaced: list[SealedCredential] = []
    credentials: list[SealedCredential] = []
    failure: Text = ""
    proof: Text = ""


def prove_rekeyed(challenge: bytes, answer: Rekeyed) -> str:
    """What `answer.proof` has to be: an HMAC over all else, by what only a holder of the zone's key could read."""
    return hmac.digest(challenge, encode(msgspec.structs.replace(answer, proof="")), "sha256").hex()


class Phase(StrEnum):
    """Where in a visit the worker is; shown live."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    PROFILING = "profiling"
    STAGING = "staging"
    RUNNING = "running"
    CLEANING = "cleaning"
    REPORTING = "reporting"


class Heartbeat(Frozen, frozen=True, kw_only=True):
    """What a worker last said of a scan it works on; `percent` of the phase is done, where that is known."""

    scan_id: Name
    attempt: int
    worker: Name
    phase: Phase
    started_at: datetime
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None


# --- plan: worker → probe, on stdin as one JSON line, and behind it the coded values of its sets, in their order -----

Expr = dict[str, Any]
"""Expression tree node; its grammar is in `probes/README.md` ("Plan") and checked by the compiler and the probe."""


class Scope(Frozen, frozen=True, kw_only=True):
    """Bounds of what is walked for file and directory rules."""

    paths: list[Text] = []
    exclude: list[Text] = []
    max_depth: int | None = None
    cross_mounts: bool = False


class CorrelationPart(Frozen, frozen=True, kw_only=True):
    """A rule whose matches a correlation counts, or a correlation whose alerts it does.

    `time` is the field with a record's moment, "" for state, which is of the visit's moment. `group_by` are this
    part's fields for the names of `Correlation.group_by`, `values` those that are counted or summed.
    """

    name: Name
    subject: Name = ""
    when: Expr | None = None
    scope: Scope | None = None
    fields: list[Name] = []
    time: Name = ""
    group_by: list[Name] = []
    values: list[Name] = []
    correlation: Correlation | None = None


class Correlation(Frozen, frozen=True, kw_only=True):
    """A condition on the records of one visit taken together; kinds and operators are Sigma's.

    `presence`, a tree of {"and": …}, {"or": …}, {"not": …} and {"part": place}, stands instead of `op` and `count`.
    """

    type: Name
    parts: Annotated[list[CorrelationPart], Meta(max_length=32)]
    group_by: list[Name] = []
    timespan_s: int
    op: Name = ""
    count: int | float = 0
    percentile: int = 0
    presence: Expr | None = None


class PlanRule(Frozen, frozen=True, kw_only=True):
    """One rule as the probe needs it; the report refers to it by its place in `Plan.rules`, so hosts are sent no `id`.

    `host` is over the fields of subject host: where it does not hold the rule is `skipped(os)`. With `absent` the alert
    is that no record matched. `correlation` stands instead of `when` and `scope`.
    """

    id: Name
    subject: Name
    when: Expr | None = None
    scope: Scope | None = None
    fields: list[Name]
    max_matches: int | None = None
    host: Expr | None = None
    absent: bool = False
    correlation: Correlation | None = None


class PlanSet(Frozen, frozen=True, kw_only=True):
    """A set of indicators that rules refer to by its kind (`in_set`); `size_bytes` of coded values follow the plan.

    One value in 2^bits that is not on the list is taken for one that is. `prefixes4` and `prefixes6` are the lengths
    of the networks on a list of addresses. The code: `probes/internal/indicator`.
    """

    kind: Name
    count: Annotated[int, Meta(ge=1, le=1 << 24)]
    bits: Annotated[int, Meta(ge=8, le=24)]
    size_bytes: Annotated[int, Meta(ge=1, le=64 << 20)]
    digest: Digest
    prefixes4: list[int] = []
    prefixes6: list[int] = []


class PlanLimits(Frozen, frozen=True, kw_only=True):
    """The part of `Limits` that the probe keeps itself."""

    deadline_s: int = 120
    cpu_percent: Percent = 50
    nice: int = 19
    memory_bytes: int = 64 << 20
    report_bytes: int = 32 << 20
    matches_per_rule: int = 1000
    value_bytes: int = 4096
    is_packed: bool = False
    """The report comes home in the form of gzip, which has no end of its own."""


class PasswordAudit(Frozen, frozen=True, kw_only=True):
    """What guessing local passwords may take (seconds of CPU, 0: none are guessed), and an operator's own words.

    Only rules that ask for the audit start it. A word has at most 128 bytes of UTF-8 and no NUL; it is a secret.
    """

    cpu_s: Annotated[int, Meta(ge=0, le=3600)] = 20
    words: Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=10000)] = []

    def __repr__(self) -> str:
        return f"PasswordAudit(cpu_s={self.cpu_s}, words=***)"


class Plan(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """What the probe is asked to do in one pass."""

    schema: Literal[1] = 1
    limits: PlanLimits = PlanLimits()
    passwords: PasswordAudit = PasswordAudit()
    rules: Annotated[list[PlanRule], Meta(max_length=20000)]
    sets: Annotated[list[PlanSet], Meta(max_length=16)] = []


# --- report: probe → worker, NDJSON on stdout; hostile input, so bounded and unknown fields ignored ---------------


class Hostile(Struct, frozen=True, omit_defaults=True):
    """Base of what comes from a host."""


class ProbeHeader(Hostile, frozen=True, kw_only=True, tag="header", tag_field="type"):
    """First line of a report."""

    schema: int
    probe_version: Name
    arch: Name
    uid: int
    root: Text = "/"
    started_at: float
    host: dict[str, Any] = {}


class Candidate(Hostile, frozen=True, kw_only=True):
    """A value in a field that a set of the plan took for one of its list; only the list itself can say so."""

    kind: Name
    field: Name
    value: Text


MAX_CANDIDATES = 64
# Of one rule, for one candidate: more records with it are not told of.
MAX_REPEATS = 32


class Match(Hostile, frozen=True, kw_only=True, tag="match", tag_field="type"):
    """One record that one or more rules matched: an alert or a wanted record.

    `rules` are places in the plan. `identity` holds the subject's identity fields (a subset of `record`), `truncated`
    the names of fields that were cut, `unknown` field → reason for what could not be looked at, `candidates` what the
    sets of the plan found in the record.
    """

    subject: Name
    rules: Annotated[list[int], Meta(max_length=20000)]
    identity: dict[str, Any]
    record: dict[str, Any]
    truncated: list[Name] = []
    unknown: dict[str, Name] = {}
    candidates: Annotated[list[Candidate], Meta(max_length=MAX_CANDIDATES)] = []


class CollectorState(StrEnum):
    """How the collection of one subject ended."""

    OK = "ok"
    PARTIAL = "partial"
    ERROR = "error"
    SKIPPED = "skipped"


class CollectorStatus(Hostile, frozen=True, kw_only=True, tag="collector", tag_field="type"):
    """How one subject's collection went and what it cost; `reason` is a code, `detail` a sentence."""

    subject: Name
    state: CollectorState
    reason: Name = ""
    detail: Text = ""
    records: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


class RuleState(StrEnum):
    """What a rule says of a host."""

    ALERT = "alert"
    PASS = "pass"  # noqa: S105 - the field's word
    ERROR = "error"
    SKIPPED = "skipped"


class ProbeRuleStatus(Hostile, frozen=True, kw_only=True, tag="rule", tag_field="type"):
    """Outcome of one rule that did not simply pass.

    `unknown` counts records on which the rule could not be decided, by reason (`needs_root`, `error`, `limit`).
    """

    rule: int
    state: RuleState
    reason: Name = ""
    matched: int = 0
    truncated: bool = False
    unknown: dict[str, int] = {}


class ProbeFooter(Hostile, frozen=True, kw_only=True, tag="footer", tag_field="type"):
    """Last line; a report without it is cut short."""

    complete: bool
    passed: Annotated[list[int], Meta(max_length=20000)]
    matches: int
    wall_s: float
    cpu_s: float
    paused_s: float = 0.0
    max_rss_bytes: int
    reason: Name = ""
    removed: list[Text] = []
    errors: list[Text] = []


ReportLine = ProbeHeader | Match | CollectorStatus | ProbeRuleStatus | ProbeFooter


# --- scan report: worker → ingest ---------------------------------------------------------------------------------


class Outcome(StrEnum):
    """How a visit ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Profile(Frozen, frozen=True, kw_only=True):
    """What the shell round trip says of a host, before any probe runs. Unknown text is "", unknown numbers null."""

    hostname: Name = ""
    system: Name = ""
    kernel: Name = ""
    machine: Name = ""
    arch: Name = ""
    bits: int | None = None
    little_endian: bool | None = None
    hard_float: bool | None = None
    os_id: Name = ""
    os_version: Name = ""
    os_name: Name = ""
    uid: int | None = None
    username: Name = ""
    become: Become = Become.NONE
    is_root: bool = False
    machine_id: Name = ""
    boot_id: Name = ""
    shell: Name = ""


class Failure(Frozen, frozen=True, kw_only=True):
    """A `ScanError` as stored text."""

    code: Name
    message: Text
    retryable: bool = False


class RuleStatus(Frozen, frozen=True, kw_only=True):
    """Outcome of one rule on the host, by rule id."""

    rule_id: Name
    state: RuleState
    reason: Name = ""
    matched: int = 0
    truncated: bool = False
    unknown: dict[str, int] = {}


class RuleMatch(Frozen, frozen=True, kw_only=True):
    """One record with the ids of the rules that matched it."""

    subject: Name
    rule_ids: list[Name]
    identity: dict[str, Any]
    record: dict[str, Any]
    truncated: list[Name] = []
    unknown: dict[str, Name] = {}
    candidates: list[Candidate] = []


class Cost(Frozen, frozen=True, kw_only=True):
    """What the visit cost: the probe's own account on the host, and bytes over the wire.

    `clock_skew_s`: how far the host's clock is ahead of the worker's, to a second or so; None when no probe began.
    `indicator_candidates` are values that sets of the plan found, `indicator_matches` those that are on a list.
    """

    probe_wall_s: float = 0.0
    probe_cpu_s: float = 0.0
    probe_paused_s: float = 0.0
    probe_max_rss_bytes: int = 0
    clock_skew_s: float | None = None
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
    indicator_candidates: int = 0
    indicator_matches: int = 0


class Meddling(StrEnum):
    """What somebody on a host did to the probe."""

    KILLED = "killed"
    STOPPED = "stopped"
    HALTED = "halted"
    CHANGED = "changed"


class Interference(Frozen, frozen=True, kw_only=True):
    """The probe was killed by a signal, told to stop by one, held by one, or is not the program that was sent.

    `out_of_memory`: whether the kernel killed something for lack of memory meanwhile; None: it does not tell.
    """

    what: Meddling
    out_of_memory: bool | None = None


class ScanReport(Frozen, frozen=True, kw_only=True):
    """Worker to ingest: everything one visit brought home."""

    scan_id: Name
    attempt: int = 1
    worker: Name = ""
    outcome: Outcome
    failure: Failure | None = None
    started_at: datetime
    finished_at: datetime
    profile: Profile | None = None
    presented_host_keys: list[HostKeyPin] = []
    presented_jump_keys: list[HostKeyPin] = []
    """What each jump host showed that got past it, first hop first."""
    credential: Name = ""
    """Id of the credential that got in."""
    probe_digest: str = ""
    matches: list[RuleMatch] = []
    rules: list[RuleStatus] = []
    collectors: list[CollectorStatus] = []
    timings_s: dict[str, float] = {}
    cost: Cost = Cost()
    created: list[Text] = []
    removed: list[Text] = []
    cleanup: Failure | None = None
    interference: Interference | None = None


# --- discovery: web side → worker, and back to ingest -------------------------------------------------------------

MAX_SOUGHT = 4096
MAX_DISCOVER_CREDENTIALS = 8


class Sought(Frozen, frozen=True, kw_only=True):
    """An endpoint to look at. With keys only one of them is spoken to; else whatever answers is signed in to.

    With `sign_in` off nothing but its host key is looked at.
    """

    address: Name
    port: Port = 22
    host_keys: Annotated[list[HostKeyPin], Meta(max_length=32)] = []
    sign_in: bool = True


class DiscoverJob(Frozen, frozen=True, kw_only=True):
    """Web side to worker: look at these endpoints, so many a second; a part of a sweep over networks."""

    sweep_id: int
    part: int
    attempt: int = 1
    zone: Name
    sought: Annotated[list[Sought], Meta(max_length=MAX_SOUGHT)]
    credentials: Annotated[list[SealedCredential], Meta(max_length=MAX_DISCOVER_CREDENTIALS)] = []
    try_all_passwords: bool = False
    jumps: Annotated[list[JumpEndpoint], Meta(max_length=8)] = []
    rate_per_s: Annotated[int, Meta(ge=1, le=1000)] = 20
    timeout_s: Annotated[int, Meta(ge=1, le=30)] = 3
    expires_at: datetime


class Answer(Frozen, frozen=True, kw_only=True):
    """An endpoint that took a connection. `failure` is why it was not signed in to, if it was to be.

    `credential` is the id of the one that got in.
    """

    address: Name
    port: Port = 22
    banner: Name = ""
    host_key: HostKeyPin | None = None
    failure: Failure | None = None
    profile: Profile | None = None
    credential: Name = ""


class DiscoverReport(Frozen, frozen=True, kw_only=True):
    """Worker to ingest: who answered. What is not named here did not."""

    sweep_id: int
    part: int
    attempt: int = 1
    worker: Name = ""
    started_at: datetime
    finished_at: datetime
    failure: Failure | None = None
    answers: Annotated[list[Answer], Meta(max_length=MAX_SOUGHT)] = []


def decode_discovered(data: bytes | str) -> DiscoverReport:
    """Raises msgspec.ValidationError or msgspec.DecodeError on anything that is not such a report."""
    return msgspec.json.decode(data, type=DiscoverReport)


def encode(message: Struct) -> bytes:
    """JSON bytes of any struct of this module."""
    return msgspec.json.encode(message, order="sorted")


# Made by one thread, before there are others: msgspec is not safe where two learn a type at once.
_SCANJOB = msgspec.json.Decoder(ScanJob)
_SCANREPORT = msgspec.json.Decoder(ScanReport)
_PLAN = msgspec.json.Decoder(Plan)


def decode_job(data: bytes | str) -> ScanJob:
    """Raises msgspec.ValidationError or msgspec.DecodeError on anything that is not a job."""
    return _SCANJOB.decode(data)


def decode_report(data: bytes | str) -> ScanReport:
    """Raises msgspec.ValidationError or msgspec.DecodeError on anything that is not a report."""
    return _SCANREPORT.decode(data)


def decode_plan(data: bytes | str) -> Plan:
    """Raises msgspec.ValidationError or msgspec.DecodeError on anything that is not a plan."""
    return _PLAN.decode(data)


def decode_report_line(data: bytes) -> ReportLine:
    """One NDJSON line of a probe. Raises msgspec.ValidationError or msgspec.DecodeError."""
    line: ReportLine = msgspec.json.decode(data, type=ReportLine)
    return line
