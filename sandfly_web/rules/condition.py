"""Compiles a condition that stands alone: the `detection` of a Sigma rule, over the fields of one subject. Pure."""

from __future__ import annotations

from sandfly_web.rules.backend import compile_tree
from sandfly_web.rules.detection import parse_detection
from sandfly_web.rules.document import parse_document
from sandfly_web.rules.faults import Faults
from sandfly_web.rules.fields import registry
from sandfly_web.rules.indicators.sets import find_kinds
from sandfly_web.rules.mapping import LogSource
from scanners.contract import Expr


def parse_condition(text: str, subject: str, location: str = "condition") -> Expr:
    """The expression of YAML text that holds the key `detection` alone, as in a rule.

    Raises RuleErrors with every fault and its line; KeyError for a subject that is not there.
    """
    source = LogSource(registry()[subject])
    faults = Faults(location)
    document = parse_document(text, faults)
    faults.raise_if_any()
    assert document is not None  # noqa: S101 - without a fault there is one
    for key in document.values.keys() - {"detection"}:
        faults.add(document.line((key,)), str(key), "only `detection` stands here, with its selections and condition")
    tree = parse_detection(document, faults)
    expr = compile_tree(tree, source, faults) if tree is not None else None
    if tree is not None and expr is None:
        faults.add(document.line(("detection",)), "detection", "every record would match; name what it is about")
    if find_kinds(expr):
        faults.add(document.line(("detection",)), "detection", "lists of indicators are for rules; name the values")
    faults.raise_if_any()
    assert expr is not None  # noqa: S101 - as above
    return expr
