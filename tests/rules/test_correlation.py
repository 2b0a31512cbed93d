"""Rules over several records of one visit: Sigma correlations, alerts on absence, conditions on the host, filters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandfly_web.rules.catalog import read_rules
from sandfly_web.rules.compiled import CompiledRule, RecordedVisit, RuleErrors
from sandfly_web.rules.plan import build_plan
from sandfly_web.rules.sigma import parse_rule, parse_rules, read_source
from sandfly_web.rules.testing import match_records, match_visits, run_tests
from scanners.contract import Limits, Match, ProbeRuleStatus, decode_report_line

FAILURES = """\
title: Many failed logins of one address
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
name: login_many_failures
level: medium
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [remote_address]
  timespan: 10m
  condition: {gte: 3}
sandfly:
  explain: "{correlation.count} failed logins from {remote_address}, such as {text}"
  tests:
    - name: three of one address within the time
      records:
        - {program: sshd, text: Failed password, time: 1000, remote_address: 192.0.2.1}
        - {program: sshd, text: Failed password, time: 1300, remote_address: 192.0.2.1}
        - {program: sshd, text: Failed password, time: 1600, remote_address: 192.0.2.1}
      expect: alert
    - name: three, but not within the time
      records:
        - {program: sshd, text: Failed password, time: 1000, remote_address: 192.0.2.1}
        - {program: sshd, text: Failed password, time: 1300, remote_address: 192.0.2.1}
        - {program: sshd, text: Failed password, time: 1601, remote_address: 192.0.2.1}
      expect: pass
    - name: three of different addresses
      records:
        - {program: sshd, text: Failed password, time: 1000, remote_address: 192.0.2.1}
        - {program: sshd, text: Failed password, time: 1000, remote_address: 192.0.2.2}
        - {program: sshd, text: Failed password, time: 1000, remote_address: 192.0.2.3}
      expect: pass
---
title: A failed login
name: failed_login
logsource: {product: linux, service: sshd}
detection:
  selection: [Failed password]
  condition: selection
"""


def errors_of(text: str) -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        parse_rules(read_source(text, "r.yml"))
    return [str(error) for error in caught.value.errors]


def correlated(correlation: str, *bases: str) -> CompiledRule:
    """A correlation over lines that contain the name of their part; `correlation` is a YAML flow mapping."""
    text = f"title: t\nid: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001\nlevel: low\ncorrelation: {correlation}\n"
    for name in bases:
        text += f"---\nname: {name}\nlogsource: {{category: log_line}}\ndetection: {{a: [{name}], condition: a}}\n"
    return parse_rule(text, "r.yml")


def alerts(rule: CompiledRule, probe: Path, *records: dict[str, Any], host: dict[str, Any] | None = None) -> bool:
    (verdict,) = match_visits([rule], [RecordedVisit(tuple((rule.subject, record) for record in records), host)], probe)
    assert not verdict.unknown
    return rule.id in verdict.matched


def lines(*texts: str, times: Sequence[int] = (), **more: Any) -> list[dict[str, Any]]:
    return [{"text": text, "time": time, **more} for text, time in zip(texts, times or range(len(texts)), strict=True)]


def test_a_correlation_counts_the_matches_of_a_rule_in_its_own_file(probe: Path) -> None:
    rule = parse_rule(FAILURES, "r.yml")

    results = run_tests([rule], probe)

    assert [result.problem for result in results] == ["", "", ""]
    assert rule.subject == "log_line"


def test_a_rule_that_is_only_counted_is_none_of_its_own_unless_it_is_generated() -> None:
    quiet = parse_rules(read_source(FAILURES, "r.yml"))
    base = "id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0002\nlevel: low\nname: failed_login"
    loud = FAILURES.replace("timespan", "generate: true\n  timespan").replace("name: failed_login", base)

    rules = parse_rules(read_source(loud, "r.yml"))

    assert [rule.name for rule in quiet] == ["login_many_failures"]
    assert [rule.name for rule in rules] == ["login_many_failures", "failed_login"]
    assert parse_rule(rules[1].source, "failed_login.yml").plan_rule == rules[1].plan_rule


@pytest.mark.parametrize(
    ("correlation", "records", "expected"),
    [
        ("{type: temporal, rules: [one, two], timespan: 1m}", lines("two", "one"), True),
        ("{type: temporal, rules: [one, two], timespan: 1m}", lines("one", "one"), False),
        ("{type: temporal_ordered, rules: [one, two], timespan: 1m}", lines("one", "two"), True),
        ("{type: temporal_ordered, rules: [one, two], timespan: 1m}", lines("two", "one"), False),
        ("{type: temporal, condition: one and not two, timespan: 1m}", lines("one"), True),
        ("{type: temporal, condition: one and not two, timespan: 1m}", lines("one", "two"), False),
        ("{type: temporal, condition: one or two, timespan: 1m}", lines("two"), True),
        ("{type: temporal_ordered, condition: one and two, timespan: 1m}", lines("one", "two"), True),
        (
            "{type: value_count, rules: one, timespan: 1m, condition: {gte: 2, field: text}}",
            lines("one", "one a"),
            True,
        ),
        ("{type: value_count, rules: one, timespan: 1m, condition: {gte: 2, field: text}}", lines("one", "one"), False),
        (
            "{type: value_sum, rules: one, timespan: 1m, condition: {gt: 9, field: offset}}",
            lines("one", "one", offset=5),
            True,
        ),
        (
            "{type: value_avg, rules: one, timespan: 1m, condition: {gt: 5, field: offset}}",
            lines("one", "one", offset=5),
            False,
        ),
        (
            "{type: value_percentile, rules: one, timespan: 1m, condition: {gte: 5, field: offset, percentile: 90}}",
            lines("one", offset=5),
            True,
        ),
        (
            "{type: value_median, rules: one, timespan: 1m, condition: {gte: 5, field: offset}}",
            lines("one", offset=4),
            False,
        ),
    ],
)
def test_every_type_of_sigmas_correlations(
    probe: Path, correlation: str, records: list[dict[str, Any]], expected: bool
) -> None:
    bases = [name for name in ("one", "two") if name in correlation]

    assert alerts(correlated(correlation, *bases), probe, *records) is expected


def test_an_alias_joins_records_of_different_subjects(probe: Path) -> None:
    text = """\
title: A program runs that a log line named
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
level: low
correlation:
  type: temporal
  rules: [started, named]
  group-by: [who]
  aliases: {who: {started: uid, named: audit.uid}}
  timespan: 5m
sandfly:
  explain: "{path} of {who}; {correlation.examples}"
---
name: started
logsource: {category: process}
detection: {a: {name: nc}, condition: a}
---
name: named
logsource: {product: linux, service: auditd}
detection: {a: {comm: nc}, condition: a}
"""
    rule = parse_rule(text, "r.yml")
    audit = {"log": "audit", "audit.comm": "nc", "audit.uid": 33, "time": 1100}

    def visit(uid: int, start_time: int) -> RecordedVisit:
        process = {"name": "nc", "uid": uid, "start_time": start_time, "path": "/bin/nc"}
        return RecordedVisit((("process", process), ("log_line", audit)))

    verdicts = match_visits([rule], [visit(33, 1000), visit(34, 1000), visit(33, 100)], probe)

    assert rule.subject == "process"
    assert [rule.id in verdict.matched for verdict in verdicts] == [True, False, False]


def test_a_correlation_may_count_the_alerts_of_another(probe: Path) -> None:
    text = (
        FAILURES.replace("title: Many", "title: Many many", 1)
        + """\
---
title: A login after many failures
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0003
name: login_after_failures
level: high
correlation:
  type: temporal_ordered
  rules: [login_many_failures, login]
  group-by: [remote_address]
  timespan: 1h
---
name: login
logsource: {product: linux, service: sshd}
detection: {a: [Accepted password], condition: a}
"""
    )
    (rule,) = parse_rules(read_source(text, "r.yml"))
    failed = [
        {"program": "sshd", "text": "Failed password", "time": at, "remote_address": "192.0.2.1"} for at in (1, 2, 3)
    ]
    accepted = {"program": "sshd", "text": "Accepted password", "time": 60, "remote_address": "192.0.2.1"}

    assert rule.name == "login_after_failures"
    assert alerts(rule, probe, *failed, accepted)
    assert not alerts(rule, probe, *failed[:2], accepted)
    assert not alerts(rule, probe, *failed, {**accepted, "remote_address": "192.0.2.9"})


def test_a_correlation_may_refer_to_a_rule_of_another_file_or_of_the_catalogue(tmp_path: Path) -> None:
    first, second = FAILURES.split("---\n")
    (tmp_path / "login_many_failures.yml").write_text(first)
    (tmp_path / "base.yml").write_text("id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0002\nlevel: low\n" + second)
    shipped = first.replace("[failed_login]", "[log_line_sshd_root_password_login]")
    (tmp_path / "other.yml").write_text(shipped.replace("a0001", "a0009").replace("name: login", "name: log_line"))

    rules, errors = read_rules([tmp_path])

    assert [str(error) for error in errors if "other.yml" not in error.location] == []
    assert "login_many_failures" in [rule.name for rule in rules]
    unknown = [str(error) for error in errors if "no rule has the name" in error.message]
    assert unknown == [] or "log_line_sshd_root_password_login" in unknown[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("event_count", "event_cont"),
            'r.yml:6: correlation.type: expected one of event_count, .*did you mean "event',
        ),
        (("timespan: 10m", "timespan: 10"), "r.yml:9: correlation.timespan: expected a number with s, m, h"),
        (("timespan: 10m", "timspan: 10m"), 'r.yml:9: correlation.timspan: unknown key; did you mean "timespan"'),
        (
            ("[failed_login]", "[failed_logins]"),
            'r.yml:7: correlation.rules: no rule has the name or id "failed_logins"',
        ),
        (("{gte: 3}", "{gte: many}"), "r.yml:10: correlation.condition: 'many' is no valid"),
        (("{gte: 3}", "3"), "r.yml:10: correlation.condition: expected a comparison such as"),
        (
            ("[remote_address]", "[remote_addres]"),
            'r.yml:8: correlation.group-by: failed_login: .*did you mean "remote_a',
        ),
        (("{remote_address},", "{nobody},"), 'r.yml:12: sandfly.explain: subject log_line has no field "nobody"'),
        (("event_count", "value_count"), "r.yml:10: correlation.condition: value_count needs `field`"),
        (("gte: 3", "gte: 3, field: text"), "^$"),
        (("selection: [Failed password]", "selection: {txt: x}"), "r.yml:[0-9]+: txt: subject log_line has no field"),
        (("rules: [failed_login]", "rules: [login_many_failures]"), "nested deeper than 4"),
    ],
)
def test_faults_of_correlations_say_where_and_what_to_do(change: tuple[str, str], expected: str) -> None:
    text = FAILURES.replace(*change)
    if expected == "^$":
        assert parse_rule(text, "r.yml").name == "login_many_failures"
        return
    with pytest.raises(RuleErrors, match=expected):
        parse_rules(read_source(text, "r.yml"))


ABSENT = """\
title: No audit daemon
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
name: process_audit_daemon_missing
level: medium
logsource: {category: process}
detection: {a: {name: auditd}, condition: a}
sandfly:
  type: policy
  alert_on: absence
  explain: "{host.hostname} runs no audit daemon."
  os: {os_id: [debian, rhel]}
  tests:
    - {name: not there, records: [{name: sshd}], expect: alert}
    - {name: nothing at all, records: [], expect: alert}
    - {name: it runs, records: [{name: auditd}], expect: pass}
    - {name: another system, records: [], host: {os_id: alpine}, expect: pass}
    - {name: that system, records: [], host: {os_id: debian}, expect: alert}
"""


def test_a_rule_may_alert_on_what_is_not_there(probe: Path) -> None:
    rule = parse_rule(ABSENT, "r.yml")

    assert [result.problem for result in run_tests([rule], probe)] == [""] * 5
    assert rule.plan_rule.absent
    assert rule.plan_rule.fields == ["host.hostname"]


def test_a_record_that_could_not_be_looked_at_is_no_absence(probe: Path) -> None:
    rule = parse_rule(ABSENT, "r.yml")

    (verdict,) = match_visits([rule], [RecordedVisit((("process", {"name": {"$unknown": "needs_root"}}),))], probe)

    assert not verdict.matched
    assert verdict.unknown == {rule.id: "needs_root"}


def test_an_absence_shows_only_facts_of_the_host() -> None:
    (error,) = errors_of(ABSENT.replace("{host.hostname}", "{path}"))

    assert "path has no value where nothing was found; only host. fields do" in error


def test_a_condition_may_join_facts_of_the_host(probe: Path) -> None:
    text = """\
title: t
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
level: low
logsource: {category: process}
detection:
  a: {name: nfsd, host.container|exists: false}
  b: {cmdline|fieldref|contains: host.hostname}
  condition: a or b
sandfly:
  explain: "{path} on {host.os_id}"
"""
    rule = parse_rule(text, "r.yml")

    assert rule.plan_rule.fields[:2] == ["path", "host.os_id"]
    assert alerts(rule, probe, {"name": "nfsd"}, host={"hostname": "web1"})
    assert not alerts(rule, probe, {"name": "nfsd"}, host={"hostname": "web1", "container": "docker"})
    assert alerts(rule, probe, {"cmdline": "x web1"}, host={"hostname": "web1", "container": "docker"})


def test_a_misspelled_fact_of_the_host_is_refused() -> None:
    text = "title: t\nid: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001\nlevel: low\nlogsource: {category: process}\n"

    (error,) = errors_of(text + "detection: {a: {host.os_idd: x}, condition: a}\n")

    assert error == 'r.yml:5: host.os_idd: subject host has no field "os_idd"; did you mean "os_id" or "os_like"?'


def test_the_probe_answers_all_of_this_about_a_running_system(probe: Path) -> None:
    """The whole program on this machine: a correlation, an absence, and a rule for another system."""
    many = correlated("{type: event_count, rules: one, group-by: pid, timespan: 1d, condition: {gte: 1}}", "one")
    text = many.source.replace("category: log_line}", "category: process}").replace(
        "a: [one]", f"a: {{pid: {os.getpid()}}}"
    )
    changed = ABSENT.replace("  os: {os_id: [debian, rhel]}\n", "")
    rules = [
        parse_rule(text, "r.yml"),
        parse_rule(changed.replace("a0001", "a0002").replace("name: auditd}", f"pid: {os.getpid()}}}"), "r.yml"),
        parse_rule(changed.replace("a0001", "a0003").replace("name: auditd}", "pid: -5}"), "r.yml"),
        parse_rule(ABSENT.replace("a0001", "a0004").replace("[debian, rhel]", "no-such-system"), "r.yml"),
    ]

    done = subprocess.run(
        [probe, "--keep"], input=build_plan(rules, Limits()).body + b"\n", capture_output=True, timeout=60, check=True
    )

    lines = [decode_report_line(line) for line in done.stdout.splitlines()]
    states = {line.rule: (str(line.state), line.reason) for line in lines if isinstance(line, ProbeRuleStatus)}
    matches = {line.rules[0]: line for line in lines if isinstance(line, Match)}
    assert states == {0: ("alert", ""), 2: ("alert", ""), 3: ("skipped", "os")}
    assert lines[-1].passed == [1]
    assert matches[0].identity == {"pid": os.getpid()}
    assert matches[0].record["correlation.count"] == 1
    assert set(matches[2].identity.values()) == {None}
    assert matches[2].record["host.hostname"]


RULE = """\
title: A shell
id: 5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001
name: process_shell
level: low
logsource: {category: process, product: linux}
detection: {a: {name: bash}, condition: a}
"""
FILTER = """\
title: Not on our build hosts
logsource: {category: process}
filter:
  rules: [process_shell]
  selection: {cwd|startswith: /build/}
  condition: not selection
"""
RECORDS = [("process", {"name": "bash", "cwd": "/root"}), ("process", {"name": "bash", "cwd": "/build/1"})]


def matched(rule: CompiledRule, probe: Path) -> list[bool]:
    return [rule.id in verdict.matched for verdict in match_records([rule], RECORDS, probe)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FILTER, [True, False]),
        (FILTER.replace("[process_shell]", "any"), [True, False]),
        (FILTER.replace("[process_shell]", "5f3c1c9e-52a5-4f3c-8d25-3d9a0f1a0001"), [True, False]),
        (FILTER.replace("[process_shell]", "[process_other]"), [True, True]),
        (FILTER.replace("category: process", "category: file"), [True, True]),
    ],
)
def test_a_filter_narrows_the_rules_it_is_for(tmp_path: Path, probe: Path, text: str, expected: list[bool]) -> None:
    (tmp_path / "process_shell.yml").write_text(RULE)
    (tmp_path / "filter.yml").write_text(text)

    rules, errors = read_rules([tmp_path])

    assert errors == []
    assert matched(rules[0], probe) == expected


def test_a_filter_beside_a_rule_is_that_files_own(probe: Path) -> None:
    (rule,) = parse_rules(read_source(RULE + "---\n" + FILTER, "r.yml"))

    assert matched(rule, probe) == [True, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("  rules: [process_shell]\n", ""), "filter.rules: expected names or ids of rules, or `any`"),
        (("logsource: {category: process}\n", ""), "logsource: a filter says which log source"),
        (("not selection", "not selektion"), 'no selection is named "selektion"; did you mean "selection"'),
        (("cwd|startswith", "cwdd|startswith"), 'did you mean "cwd"'),
    ],
)
def test_faults_of_a_filter_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    (tmp_path / "process_shell.yml").write_text(RULE)
    (tmp_path / "filter.yml").write_text(FILTER.replace(*change))

    _, errors = read_rules([tmp_path])

    assert any(words in str(error) for error in errors)


def test_a_rule_brings_its_own_lists_for_expand(probe: Path) -> None:
    text = RULE.replace("{name: bash}", "{name|expand: '%ours%'}") + "sandfly: {placeholders: {ours: [bash, fish]}}\n"

    rule = parse_rule(text, "r.yml")

    assert rule.plan_rule.when == {"field": "name", "op": "eq", "values": ["bash", "fish"]}
    with pytest.raises(RuleErrors, match=r"unknown list %ours%"):
        parse_rule(RULE.replace("{name: bash}", "{name|expand: '%ours%'}"), "r.yml")
