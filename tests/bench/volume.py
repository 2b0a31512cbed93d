"""A fleet's worth of rows, and how long the pages and lists take on it.

    .venv/bin/python -m tests.bench.volume                                   # 10,000 hosts, 1,000,000 findings
    .venv/bin/python -m tests.bench.volume --hosts 500 --findings 20000 --rounds 5
    .venv/bin/python -m tests.bench.volume --only findings                   # addresses that contain a word

Without DATABASE_URL a PostgreSQL of its own is started and thrown away, or kept in `--keep DIRECTORY` for the next run.
A database that holds a host which is not of this data set is refused. Rows are made by PostgreSQL itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_P95_S = 0.150
USER = "volume"
# Every host of the data set has such a name; one that has another is somebody's.
HOST_NAMES = r"^volume-[0-9]{6}$"
SCANS_PER_HOST = 10
RECORDS_PER_HOST = 50
# The key that every host lets in.
EVERYWHERE = "SHA256:volume-everywhere"

# `%(hosts)s` and `%(findings)s` are numbers. Skewed as fleets are: few hosts and rules have most findings, few
# findings are bad, most are open: the worst case for what counts or orders the unresolved.
STATEMENTS = {
    "tags": """
        INSERT INTO inventory_tag (name) SELECT 'volume-' || n FROM generate_series(1, 20) n""",
    "hosts": """
        INSERT INTO inventory_host (id, name, transport, address, port, zone_id, is_active, accept_new_host_key, state,
            state_reason, last_seen_at, hostname, machine_id, os_name, kernel, architecture, profile, created_at)
        SELECT md5('host' || n)::uuid, 'volume-' || lpad(n::text, 6, '0'), 'ssh',
            '10.' || n / 65536 || '.' || n / 256 %% 256 || '.' || n %% 256, 22, (SELECT max(id) FROM inventory_zone),
            true, false,
            CASE WHEN n %% 50 = 0 THEN 'offline' WHEN n %% 97 = 0 THEN 'auth_failed' ELSE 'active' END,
            CASE WHEN n %% 50 = 0 THEN 'no answer within 15 s' ELSE '' END,
            now() - n %% 1440 * interval '1 minute', 'volume-' || n, md5(n::text),
            (ARRAY['Debian GNU/Linux 12', 'Ubuntu 24.04', 'Rocky Linux 9', 'Alpine Linux 3.20'])[n %% 4 + 1],
            '6.1.0-26-amd64', 'amd64', '{}', now() - interval '90 days'
        FROM generate_series(0, %(hosts)s - 1) n""",
    "host tags": """
        INSERT INTO inventory_host_tags (host_id, tag_id)
        SELECT md5('host' || n)::uuid, tag.id FROM generate_series(0, %(hosts)s - 1) n
        JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM inventory_tag
                WHERE name LIKE 'volume-%%') tag ON tag.place IN (n %% 20, n / 20 %% 20)""",
    "scans": """
        INSERT INTO scans_scan (id, host_id, plan_id, priority, status, error_code, error_message, attempt, worker,
            phase, created_at, started_at, finished_at, observed_at, expires_at, is_root, alert_count, pass_count,
            error_count, skipped_count, timings_s, cost, collectors, created_paths, removed_paths, cleanup_error)
        SELECT md5('scan' || n || '/' || visit)::uuid, md5('host' || n)::uuid, (SELECT max(digest) FROM scans_plan), 1,
            CASE WHEN (n + visit) %% 40 = 0 THEN 'failed' ELSE 'done' END,
            CASE WHEN (n + visit) %% 40 = 0 THEN 'timeout' ELSE '' END, '', 1, 'worker-1', '', at, at, at, at,
            at + interval '1 hour', true, n %% 9, 500, n %% 3, n %% 7,
            '{"connect": 0.3, "run": 1.2}',
            '{"probe_cpu_s": 0.4, "probe_wall_s": 1.2, "probe_max_rss_bytes": 31457280}',
            '[{"subject": "process", "state": "ok", "records": 120, "wall_s": 0.1}]', '["/dev/shm/.a"]',
            '["/dev/shm/.a"]', ''
        FROM generate_series(0, %(hosts)s - 1) n, generate_series(0, %(scans)s - 1) visit,
            LATERAL (SELECT now() - visit * interval '1 day' - n %% 1440 * interval '1 minute' AS at) moment""",
    "findings": """
        INSERT INTO findings_finding (id, host_id, rule_id, rule_name, fingerprint, subject, title, level, level_rank,
            tags, explanation, identity, evidence, evidence_digest, truncated, unknown, status, assignee_id,
            close_reason, closed_at, first_seen_at, last_seen_at, count, first_scan_id, last_scan_id)
        SELECT md5('finding' || n)::uuid, md5('host' || host)::uuid, rule.id, rule.name, md5(n::text) || md5(-n || ''),
            rule.subject, rule.title,
            (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[rank + 1], rank, rule.tags,
            'Process /usr/local/bin/service-' || n || ' runs with an open socket of somebody else',
            jsonb_build_object('path', '/usr/local/bin/service-' || n, 'cmdline', 'service --id ' || n, 'uid', 0),
            jsonb_build_object('path', '/usr/local/bin/service-' || n, 'pid', n %% 32768,
                'cmdline', 'service --id ' || n, 'uid', 0, 'parent', 1, 'cwd', '/', 'start_time', 1750000000 + n,
                'sha256', md5(n || 'a') || md5(n || 'b')),
            md5(n || 'e') || md5(n || 'f'), '[]', '{}', status,
            CASE WHEN n %% 500 = 0 THEN (SELECT id FROM auth_user WHERE username = 'volume') END, '',
            CASE WHEN status IN ('closed', 'false_positive') THEN seen END,
            seen - age * interval '60 days', seen, 1 + n %% 90,
            md5('scan' || host || '/0')::uuid, md5('scan' || host || '/0')::uuid
        FROM (
            SELECT n, floor(%(hosts)s * power(random(), 1.5))::int AS host,
                floor((SELECT count(*) FROM volume_rule) * power(random(), 2))::int AS rule,
                CASE WHEN r < 0.01 THEN 4 WHEN r < 0.05 THEN 3 WHEN r < 0.2 THEN 2 WHEN r < 0.6 THEN 1
                    ELSE 0 END AS rank,
                CASE WHEN s < 0.7 THEN 'open' WHEN s < 0.8 THEN 'acknowledged' WHEN s < 0.95 THEN 'closed'
                    ELSE 'false_positive' END AS status,
                now() - random() * interval '5 days' AS seen, random() AS age
            FROM (SELECT n, random() AS r, random() AS s FROM generate_series(1, %(findings)s) n) dice
        ) drawn JOIN volume_rule rule ON rule.place = drawn.rule""",
    "events": """
        INSERT INTO findings_findingevent (finding_id, kind, comment, created_at)
        SELECT id, 'created', '', first_seen_at FROM findings_finding""",
    "risk of days": """
        INSERT INTO findings_riskday (host_id, day, risk)
        SELECT id, CURRENT_DATE - day, (hashtext(id::text) & 255) + day FROM inventory_host, generate_series(1, 89) day
        UNION ALL SELECT NULL, CURRENT_DATE - day, 1000 * day FROM generate_series(1, 89) day""",
    "records": """
        INSERT INTO findings_record (host_id, subject, identity_digest, digest, identity, data, rule_ids, first_seen_at,
            last_seen_at, last_scan_id, is_current)
        SELECT md5('host' || n)::uuid, (ARRAY['user', 'process', 'listener', 'package', 'kernel_module'])[k %% 5 + 1],
            md5(n || '/' || k) || md5(k::text), md5((n %% 100) || '/' || k) || md5(k::text),
            jsonb_build_object('name', 'thing-' || k), jsonb_build_object('name', 'thing-' || k, 'uid', k), '[]',
            now() - interval '60 days', now(), md5('scan' || n || '/0')::uuid, true
        FROM generate_series(0, %(hosts)s - 1) n, generate_series(1, %(records)s) k""",
    # One key that opens every host, and one of every tenth host's root that opens the next ten.
    "ssh keys": """
        INSERT INTO ssh_keys_sshkey (fingerprint, algorithm, bits, comment, use, first_seen_at, created_at)
        SELECT 'SHA256:volume-everywhere', 'ssh-ed25519', 256, 'deploy', 'user', now(), now()
        UNION ALL SELECT 'SHA256:volume-' || n, 'ssh-ed25519', 256, 'root@' || n, 'user', now(), now()
        FROM generate_series(0, %(hosts)s - 1, 10) n
        UNION ALL SELECT 'SHA256:volume-host-' || n || '-' || k, 'ssh-rsa', 3072, '', 'host', now(), now()
        FROM generate_series(0, %(hosts)s - 1) n, generate_series(1, 3) k""",
    "ssh accounts": """
        INSERT INTO ssh_keys_sshaccount (host_id, username, is_root)
        SELECT md5('host' || n)::uuid, name, name = 'root'
        FROM generate_series(0, %(hosts)s - 1) n, unnest(ARRAY['root', 'deploy']) name""",
    "ssh places": """
        INSERT INTO ssh_keys_sshkeyplace (host_id, key_id, account_id, kind, identity_digest, path, area, is_encrypted,
            options, names, is_current, first_seen_at, last_seen_at)
        SELECT account.host_id, key.id, account.id, place.kind, md5(key.id || place.kind) || md5(account.id || ''),
            '/root/.ssh/' || place.kind, place.area, place.is_encrypted, '[]', '[]', true, now(), now()
        FROM (
            SELECT n, 'SHA256:volume-everywhere' AS mark, 'authorized_key' AS kind, name, '' AS area,
                NULL::boolean AS is_encrypted
            FROM generate_series(0, %(hosts)s - 1) n, unnest(ARRAY['root', 'deploy']) name
            UNION ALL SELECT n, 'SHA256:volume-' || greatest(n / 10 * 10 - 10, 0), 'authorized_key', 'root', '', NULL
            FROM generate_series(0, %(hosts)s - 1) n
            UNION ALL SELECT n, 'SHA256:volume-' || n, 'private_key', 'root', 'home', n %% 20 = 0
            FROM generate_series(0, %(hosts)s - 1, 10) n
            UNION ALL SELECT n, 'SHA256:volume-host-' || n || '-' || k, 'private_key', 'root', 'host', false
            FROM generate_series(0, %(hosts)s - 1) n, generate_series(1, 3) k
        ) place
        JOIN ssh_keys_sshkey key ON key.fingerprint = place.mark
        JOIN ssh_keys_sshaccount account ON account.host_id = md5('host' || place.n)::uuid
            AND account.username = place.name""",
}
# Rules in the order of their weight, each with a place.
RULES = """
    CREATE TEMPORARY TABLE volume_rule AS
    SELECT id, name, subject, title, tags, row_number() OVER (ORDER BY md5(name)) - 1 AS place
    FROM rules_rule WHERE type = 'detection'"""
ANALYZED = (
    "inventory_host", "inventory_host_tags", "scans_scan", "findings_finding", "findings_record", "findings_hostrisk",
    "findings_riskday", "ssh_keys_sshkey", "ssh_keys_sshaccount", "ssh_keys_sshkeyplace",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One address: seconds of each round, sorted, and the queries of one round."""

    address: str
    seconds: list[float]
    queries: int
    status: int

    @property
    def p50(self) -> float:
        return self.seconds[len(self.seconds) // 2]

    @property
    def p95(self) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * 0.95))]


def fill(hosts: int, findings: int) -> None:
    """Make the data set in the present database. Raises RuntimeError where somebody's hosts are, or it is there."""
    from django.contrib.auth.models import User
    from django.db import connection, transaction
    from django.utils import timezone

    from sandfly_web.findings.risk import keep_risk
    from sandfly_web.inventory.models import Host
    from sandfly_web.inventory.services import create_zone

    if Host.objects.exclude(name__regex=HOST_NAMES).exists():
        raise RuntimeError("this database holds hosts that are not of the volume data set; use another")
    if Host.objects.exists():
        raise RuntimeError("this database holds a volume data set already; use another, or measure it with --filled")
    numbers = {"hosts": hosts, "findings": findings, "scans": SCANS_PER_HOST, "records": RECORDS_PER_HOST}
    with transaction.atomic(), connection.cursor() as cursor:
        create_zone("volume")
        User.objects.create_superuser(USER)
        make_plan()
        defaults = set_defaults(cursor)
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(RULES)
        for what, statement in STATEMENTS.items():
            started = time.monotonic()
            cursor.execute(statement, numbers)
            sys.stderr.write(f"{what}: {cursor.rowcount:,} rows in {time.monotonic() - started:.1f} s\n")
        cursor.execute("DROP TABLE volume_rule")
        # Keys that are checked at the end of a transaction stand in the way of changes to a table.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, column in defaults:
            cursor.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" DROP DEFAULT')
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    # As the task that runs every hour.
    keep_risk(timezone.now())
    with connection.cursor() as cursor:
        # As autovacuum leaves tables: statistics, and the map of pages that index-only scans need not look at.
        for table in ANALYZED:
            cursor.execute(f"VACUUM ANALYZE {table}" if not connection.in_atomic_block else f"ANALYZE {table}")


def set_defaults(cursor: Any) -> list[tuple[str, str]]:
    """Give the database the models' own defaults for the while: columns that no statement here names get them."""
    from django.db import connection
    from django.db.models import NOT_PROVIDED

    from sandfly_web.findings.models import Finding, FindingEvent, Record
    from sandfly_web.findings.ssh_keys.models import SshAccount, SshKey, SshKeyPlace
    from sandfly_web.inventory.models import Host, Tag
    from sandfly_web.scans.models import Scan

    done = []
    for model in (Tag, Host, Scan, Finding, FindingEvent, Record, SshKey, SshAccount, SshKeyPlace):
        for field in model._meta.local_concrete_fields:
            is_plain = field.default is not NOT_PROVIDED or field.empty_strings_allowed
            if field.null or field.primary_key or field.is_relation or not is_plain:
                continue
            value = field.get_db_prep_save(field.get_default(), connection)
            cursor.execute(
                f'ALTER TABLE "{model._meta.db_table}" ALTER COLUMN "{field.column}" SET DEFAULT %s', [value]
            )
            done.append((model._meta.db_table, field.column))
    return done


def make_plan() -> None:
    """The rules that findings are of: those of the catalogue, or, where none is loaded, what is in the database."""
    from sandfly_web.rules.models import Rule
    from sandfly_web.rules.services import load_catalog
    from sandfly_web.scans.services import ensure_plan

    if not Rule.objects.exists():
        load_catalog()
    ensure_plan(list(Rule.objects.filter(type="detection")[:50]))


def console_addresses() -> list[str]:
    """Every list of the console, its usual filters, and the page of the host and the finding that have most."""
    from django.contrib import admin
    from django.db.models import Count
    from django.urls import reverse

    from sandfly_web.findings.models import Finding
    from sandfly_web.findings.ssh_keys.models import SshKey
    from sandfly_web.inventory.models import Tag

    # Reads the URL conf, with which the pages come: without it there is no list to ask.
    start = reverse("admin:index")
    lists = [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
    ]
    findings = reverse("admin:findings_finding_changelist")
    hosts = reverse("admin:inventory_host_changelist")
    busiest = Finding.objects.values("host").annotate(n=Count("*")).order_by("-n").values_list("host", flat=True)[0]
    finding, tag = Finding.objects.filter(host=busiest)[0], Tag.objects.filter(name__startswith="volume-")[0]
    return [
        start,
        *sorted(lists),
        *(
            f"{findings}?{query}"
            for query in (
                "level=critical",
                "status=closed",
                "status=all",
                "subject=process",
                f"host__id__exact={busiest}",
                f"rule__id__exact={finding.rule_id}",
                "tag=t1059.004",
                "q=volume-000001",
                "q=service-4711",
                "q=nothing-has-this",
                "p=20",
            )
        ),
        *(
            f"{hosts}?{query}"
            for query in (
                "state__exact=offline",
                f"tags__id__exact={tag.pk}",
                "q=000123",
                "o=-5",
                "p=100",
            )
        ),
        f"{reverse('admin:scans_scan_changelist')}?status__exact=failed",
        f"{reverse('admin:scans_scan_changelist')}?error_code=timeout",
        reverse("admin:inventory_host_change", args=[busiest]),
        reverse("admin:findings_finding_change", args=[finding.pk]),
        reverse("admin:rules_rule_change", args=[finding.rule_id]),
        reverse("admin:scans_scan_change", args=[finding.last_scan_id]),
        reverse("admin:ssh_keys_sshkey_change", args=[SshKey.objects.get(fingerprint=EVERYWHERE).pk]),
        reverse("admin:inventory_host_ssh", args=[busiest]),
    ]


def api_addresses() -> list[str]:
    """Every list of the API and the filters that programs poll with."""
    from sandfly_web.api.urls import router
    from sandfly_web.findings.models import Finding
    from sandfly_web.findings.ssh_keys.models import SshKey
    from sandfly_web.inventory.models import Host

    key = SshKey.objects.get(fingerprint=EVERYWHERE)
    host, finding = Host.objects.order_by("name")[0], Finding.objects.order_by("id")[0]
    lists = [f"/api/v1/{prefix}" for prefix, _view, _base in router.registry]
    return [
        *lists,
        *(
            f"/api/v1/findings?{query}"
            for query in (
                "is_unresolved=true",
                "level=critical&level=high",
                f"host={host.pk}",
                f"rule={finding.rule_id}",
                "host_tag=volume-1",
                "tag=t1059.004",
                "status=closed",
                "last_seen_after=2026-01-01T00:00:00Z",
                "page_size=500",
                f"fingerprint={finding.fingerprint}",
                "assignee=volume",
                "subject=process",
            )
        ),
        *(f"/api/v1/hosts?{query}" for query in ("tag=volume-1", "state=offline", "name_contains=0001")),
        "/api/v1/scans?status=failed",
        f"/api/v1/scans?host={host.pk}",
        f"/api/v1/records?host={host.pk}",
        "/api/v1/records?subject=user",
        f"/api/v1/ssh-keys/{key.pk}/reach",
        f"/api/v1/ssh-key-places?key={key.pk}",
        *(f"/api/v1/ssh-paths?host={host.pk}&direction={direction}" for direction in ("from", "to")),
    ]


def measure(addresses: list[str], rounds: int) -> Iterator[Answer]:
    """Ask each address as a signed-in administrator through Django's test client, once before it counts."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username=USER))
    for address in addresses:
        with CaptureQueriesContext(connection) as captured:
            status = client.get(address).status_code
        queries = len(captured)  # Read now: each later request forgets them.
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            client.get(address)
            seconds.append(time.perf_counter() - started)
        yield Answer(address, sorted(seconds), queries, status)


@contextmanager
def database(keep: Path | None) -> Iterator[None]:
    """DATABASE_URL, or a PostgreSQL of its own."""
    if os.environ.get("DATABASE_URL"):
        yield
        return
    from sandfly_web.embedded import postgres
    from sandfly_web.embedded.paths import DataDir

    root = keep or Path(tempfile.mkdtemp(prefix="sandfly-volume-", dir="/tmp"))
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o711)
    try:
        with postgres.start(DataDir(root / "data")) as running:
            os.environ["DATABASE_URL"] = running.url
            yield
    finally:
        if keep is None:
            shutil.rmtree(root)


def report(answers: Iterator[Answer]) -> list[Answer]:
    """Print a line for each answer as it comes; returns those that are slower than allowed or wrong."""
    bad = []
    sys.stdout.write(f"{'p50 ms':>7} {'p95 ms':>7} {'queries':>7}  address\n")
    for answer in answers:
        is_bad = answer.p95 > MOST_P95_S or answer.status != 200
        mark = f"  <- {answer.status}" if answer.status != 200 else "  <- slow" if is_bad else ""
        figures = f"{answer.p50 * 1000:7.1f} {answer.p95 * 1000:7.1f} {answer.queries:7d}"
        sys.stdout.write(f"{figures}  {answer.address}{mark}\n")
        sys.stdout.flush()
        bad += [answer] if is_bad else []
    return bad


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a large data set and measure the pages and lists on it.")
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="where the database is kept for the next run")
    parser.add_argument("--filled", action="store_true", help="the data set is there already: only measure")
    parser.add_argument("--only", default="", help="addresses that contain this")
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sandfly_web.settings")
    with database(options.keep):
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        settings.ALLOWED_HOSTS = ["testserver"]
        call_command("migrate", verbosity=0)
        try:
            if not options.filled:
                fill(options.hosts, options.findings)
            addresses: list[Any] = [a for a in (*console_addresses(), *api_addresses()) if options.only in a]
            bad = report(measure(addresses, options.rounds))
        except RuntimeError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        finally:
            connection.close()
    sys.stdout.write(f"{len(addresses) - len(bad)} of {len(addresses)} answer in {MOST_P95_S * 1000:.0f} ms at p95\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
