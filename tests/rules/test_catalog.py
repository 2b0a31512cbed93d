"""What every shipped rule must be. Each test gathers all offenders, so that one run shows everything."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePath

import yaml

from sandfly_web.rules import attack, fields, lock
from sandfly_web.rules.compiled import CompiledRule, Expectation, Level, RuleType
from sandfly_web.rules.files import CATALOG_PATH, find_files
from sandfly_web.rules.simplify import field_names
from sandfly_web.rules.testing import match_records, run_tests

Catalog = list[CompiledRule]


def repeated(values: list[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def test_ids_names_and_titles_are_unique(catalog: Catalog) -> None:
    offenders = [
        f"{key}: {value}"
        for key in ("id", "name", "title")
        for value in repeated([getattr(rule, key) for rule in catalog])
    ]

    assert offenders == []


def test_every_file_of_the_catalogue_is_a_rule_in_the_folder_of_its_subject(catalog: Catalog) -> None:
    places = {str(file.relative_to(CATALOG_PATH)) for file in find_files()}

    assert places == {f"{rule.subject}/{rule.name}.yml" for rule in catalog}
    assert {rule.path for rule in catalog} == places


def test_names_begin_with_their_subject(catalog: Catalog) -> None:
    offenders = [rule.name for rule in catalog if not rule.name.startswith(f"{rule.subject}_")]

    assert offenders == []


def test_rules_say_what_they_find_and_what_they_miss(catalog: Catalog) -> None:
    offenders = [
        rule.name
        for rule in catalog
        if rule.type is not RuleType.RECON and not ("Finds" in rule.description and "Misses" in rule.description)
    ]

    assert offenders == []
    assert [rule.name for rule in catalog if len(rule.description) < 40] == []


def test_rules_are_dated_signed_and_not_modified_before_they_were_written(catalog: Catalog) -> None:
    offenders = [
        rule.name
        for rule in catalog
        if not rule.author or rule.date is None or rule.modified is None or rule.modified < rule.date
    ]

    assert offenders == []


def test_alerts_are_explained_with_facts_of_the_record(catalog: Catalog) -> None:
    offenders = [rule.name for rule in catalog if rule.type is not RuleType.RECON and rule.explain.count("{") < 1]

    assert offenders == []


def test_detections_have_a_level_above_informational(catalog: Catalog) -> None:
    offenders = [rule.name for rule in catalog if rule.type is RuleType.DETECTION and rule.level is Level.INFORMATIONAL]

    assert offenders == []


def test_detections_name_techniques_that_exist_and_tactics_those_serve(catalog: Catalog) -> None:
    offenders = []
    for rule in catalog:
        unknown = [technique for technique in rule.techniques if technique not in attack.TECHNIQUES]
        served = {tactic for technique in rule.techniques for tactic in attack.TECHNIQUES.get(technique, ())}
        strangers = [tactic for tactic in rule.tactics if tactic not in served]
        bare = rule.type is RuleType.DETECTION and not (rule.techniques and rule.tactics)
        if unknown or strangers or bare:
            offenders.append(f"{rule.name}: unknown {unknown}, tactics without technique {strangers}, untagged {bare}")

    assert offenders == []


def test_attack_tags_are_tactics_or_techniques(catalog: Catalog) -> None:
    offenders = [
        f"{rule.name}: {tag}"
        for rule in catalog
        for tag in rule.tags
        if tag.startswith("attack.") and not attack.tactics_of([tag]) and not attack.techniques_of([tag])
    ]

    assert offenders == []


def test_references_are_web_addresses(catalog: Catalog) -> None:
    offenders = [f"{rule.name}: {one}" for rule in catalog for one in rule.references if not one.startswith("https://")]

    assert offenders == []


def test_every_selection_is_used_by_its_condition(catalog: Catalog) -> None:
    offenders = []
    documents = [(rule, document) for rule in catalog for document in yaml.safe_load_all(rule.source)]
    for rule, document in documents:
        if "correlation" in document:
            continue
        detection = document["detection"]
        words = re.findall(r"[\w*]+", str(detection.pop("condition")))
        patterns = [re.compile(word.replace("*", ".*")) for word in words]
        offenders += [
            f"{rule.name}: {name}"
            for name in detection
            if "them" not in words and not any(pattern.fullmatch(name) for pattern in patterns)
        ]

    assert offenders == []


def test_costly_fields_are_only_read_behind_cheaper_conditions(catalog: Catalog) -> None:
    known = fields.registry()
    offenders = []
    for rule in catalog:
        costs = {known[rule.subject].fields[name].cost for name in field_names(rule.plan_rule.when)}
        if costs == {"costly"} and rule.type is RuleType.DETECTION and rule.subject in {"file", "process"}:
            offenders.append(rule.name)

    assert offenders == []


def test_alerting_rules_have_a_record_that_alerts_and_a_near_miss_that_passes(catalog: Catalog) -> None:
    offenders = []
    for rule in catalog:
        expected = {test.expect for test in rule.tests}
        needed = {Expectation.ALERT} if rule.plan_rule.when is None else {Expectation.ALERT, Expectation.PASS}
        if not needed <= expected:
            offenders.append(rule.name)

    assert offenders == []


def test_every_rule_test_holds_in_the_probes_matcher(catalog: Catalog, probe: Path) -> None:
    problems = [f"{result.rule.path}:{result.test.line}: {result.problem}" for result in run_tests(catalog, probe)]

    assert [problem for problem in problems if not problem.endswith(": ")] == []


def test_records_of_clean_hosts_are_silent_in_all_rules(catalog: Catalog, probe: Path) -> None:
    """A test whose name says "clean" is what stock systems do: no rule of medium level or above may alert."""
    loud = [rule for rule in catalog if rule.type is RuleType.DETECTION and rule.level.rank >= Level.MEDIUM.rank]
    quiet = [(rule, test) for rule in catalog for test in rule.tests if "clean" in test.name]
    verdicts = match_records(loud, [(rule.subject, test.record) for rule, test in quiet], probe)

    names = {rule.id: rule.name for rule in loud}
    offenders = [
        f"{rule.name}: {test.name}: {sorted(names[rule_id] for rule_id in verdict.matched)}"
        for (rule, test), verdict in zip(quiet, verdicts, strict=True)
        if verdict.matched
    ]
    assert offenders == []


def test_every_change_of_a_rule_is_locked(catalog: Catalog) -> None:
    locked = lock.parse_lock(lock.LOCK_PATH.read_text(encoding="utf-8"))

    assert lock.find_drift(locked, lock.build_lock(catalog)) == [], "run ./manage.py rules lock"


def test_shipped_paths_do_not_depend_on_where_the_product_lives(catalog: Catalog) -> None:
    assert [rule.path for rule in catalog if PurePath(rule.path).is_absolute()] == []
