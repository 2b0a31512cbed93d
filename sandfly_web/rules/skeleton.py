"""The text of a new rule: everything the catalogue asks for, with places to fill in."""

from __future__ import annotations

import datetime as dt

from sandfly_web.rules.fields import Subject

_TEMPLATE = """\
title: {title}
id: {rule_id}
name: {name}
status: experimental
description: |
  Finds what this rule is about, in the words of somebody who has to decide whether it matters.
  Misses what it cannot see; say it here, so that nobody believes to be safe.
references:
  - https://attack.mitre.org/techniques/T1059/
author: local
date: {today}
modified: {today}
tags:
  - attack.execution
  - attack.t1059
logsource:
  category: {subject}
  product: linux
detection:
  selection:
    {field}: '{value}'
  condition: selection
falsepositives:
  - What harmless thing looks the same.
level: medium
sandfly:
  type: detection
{scope}  explain: What was seen, with facts such as {{{field}}}, and why it matters.
  fields: [{fields}]
  # Fields of subject {subject}:
{listing}
  tests:
    - name: what must alert
      record: {{{field}: '{value}'}}
      expect: alert
    - name: a near miss that must pass
      record: {{{field}: '{value}-not'}}
      expect: pass
"""
_SCOPE = "  scope:\n    paths: [/tmp]\n"


def build_skeleton(name: str, subject: Subject, rule_id: str, today: dt.date) -> str:
    """A rule that compiles and whose tests hold; `name` is <object>_<behaviour>."""
    text_fields = [field.name for field in subject.fields.values() if field.type == "string"]
    field = next((one for one in ("path", "name", *subject.identity) if one in text_fields), text_fields[0])
    value = "/tmp/example" if field == "path" else "example"  # noqa: S108 - the example of a rule
    return _TEMPLATE.format(
        title=name.replace("_", " ").capitalize(),
        rule_id=rule_id,
        name=name,
        today=today.isoformat(),
        subject=subject.name,
        field=field,
        value=value,
        scope=_SCOPE if subject.name in {"file", "directory"} else "",
        fields=", ".join(dict.fromkeys([field, *subject.identity])),
        listing="\n".join(f"  #   {one.name}: {one.type}. {one.doc}".rstrip() for one in subject.fields.values()),
    )
