"""What the pages of a key, and of a host's SSH keys, show: a fixed number of queries however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandfly_web.findings.ssh_keys import services
from sandfly_web.findings.ssh_keys.graph import draw, key_node, start_node
from sandfly_web.findings.ssh_keys.ingest import read_zones
from sandfly_web.findings.ssh_keys.models import KeyRemoval, SshAccount, SshKey, SshKeyPlace
from sandfly_web.findings.ssh_keys.options import shown_options
from sandfly_web.findings.ssh_keys.paths import Start, radius, reach, reached_by
from sandfly_web.findings.ssh_keys.policies import Placed, ZoneState, zone_state
from sandfly_web.findings.ssh_keys.removals import commands, steps_of
from sandfly_web.inventory.models import Host

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

LISTED = 100
TONES = {
    ZoneState.INSIDE: "good",
    ZoneState.OUTSIDE: "high",
    ZoneState.STRANGER: "medium",
    ZoneState.NONE: "quiet",
}


def key_context(key: SshKey, user: AbstractUser) -> dict[str, Any]:
    """Parts that the user may not see are empty."""
    context: dict[str, Any] = {
        "thing": key,
        "hashes": services.hashes(key),
        "tags": list(key.tags.all()),
        "can_change": user.has_perm("ssh_keys.change_sshkey"),
        "can_ask": user.has_perm("ssh_keys.add_keyremoval"),
    }
    if user.has_perm("ssh_keys.view_sshkeyplace"):
        places = key.places.select_related("host", "account").with_seen()  # type: ignore[attr-defined]
        current = list(places.filter(is_current=True).order_by("kind", "host__name", "id")[: LISTED + 1])
        found = radius(reach(Start(key=key)), limit=LISTED)
        context |= {
            "places": [described(place) for place in with_zones(current[:LISTED], [key])],
            "has_more": len(current) > LISTED,
            "history": list(places.order_by("-id")[:LISTED]),
            "radius": found,
            "graph": draw(found.reached, key_node(key)),
        }
        context["accounts"] = {
            place.account.pk: place for place in current[:LISTED] if place.account and place.kind == "authorized_key"
        }.values()
    if user.has_perm("ssh_keys.view_keyremoval"):
        context["removals"] = list(key.removals.select_related("host", "account")[:LISTED])
    return context


def with_zones(places: list[SshKeyPlace], keys: list[SshKey]) -> list[Any]:
    """Each place with `zone_state`, `zone` and `tone`; three queries."""
    zones = read_zones()
    tags: dict[int, set[int]] = {}
    for key, tag in SshKey.tags.through.objects.filter(sshkey__in=keys).values_list("sshkey_id", "keytag_id"):
        tags.setdefault(key, set()).add(tag)
    host_tags: dict[Any, set[int]] = {}
    hosts = {place.host_id for place in places}
    for host, tag in Host.tags.through.objects.filter(host__in=hosts).values_list("host_id", "tag_id"):
        host_tags.setdefault(host, set()).add(tag)
    rows: list[Any] = list(places)
    for row in rows:
        signs_in = row.kind == SshKeyPlace.Kind.AUTHORIZED
        placed = Placed(frozenset(tags.get(row.key_id, ())), "", signs_in, row.is_current)
        is_about = row.key_id is not None and row.key.use == SshKey.Use.USER
        state, zone = zone_state(placed, host_tags.get(row.host_id, ()), zones if is_about else ())
        row.zone_state, row.zone, row.tone = state, zone, TONES[state]
    return rows


def described(place: Any) -> Any:
    """The place with `facts`: what is worth knowing of it in a few words."""
    words = []
    if place.is_encrypted is not None:
        words.append("with a passphrase" if place.is_encrypted else "no passphrase")
    if place.is_shared:
        words.append("everybody on the host can read it")
    if place.area and place.area != "home":
        words.append(place.area)
    if (place.copies or 0) > 1:
        words.append(f"{place.copies} lines of it")
    if place.options:
        words.append(shown_options(place.options))
    if place.is_hashed:
        words.append("its name is hashed")
    elif place.names:
        words.append(", ".join(place.names))
    place.facts = "; ".join(words)
    return place


def host_context(host: Host, account_id: str, direction: str) -> dict[str, Any]:
    """Keys of a host by account, and what its keys lead to, or who gets to it."""
    accounts = list(SshAccount.objects.filter(host=host).order_by("-is_root", "username"))
    account = next((one for one in accounts if str(one.pk) == account_id), None)
    places = SshKeyPlace.objects.filter(host=host, is_current=True).select_related("key", "account", "host")
    if account is not None:
        places = places.filter(account=account)
    rows = list(places.with_seen().order_by("kind", "account__username", "id")[: LISTED + 1])  # type: ignore[attr-defined]
    keys = [row.key for row in rows if row.key is not None]
    is_backward = direction == "to"
    start = Start(account=account) if account else Start(host=host)
    found = radius((reached_by if is_backward else reach)(start), start.account_ids, LISTED)
    begin = start_node(account.username, host.name) if account else start_node(host.name, "all its accounts")
    return {
        "thing": host,
        "accounts": accounts,
        "account": account,
        "direction": "to" if is_backward else "from",
        "places": [described(row) for row in with_zones(rows[:LISTED], keys)],
        "has_more": len(rows) > LISTED,
        "radius": found,
        "graph": draw(found.reached, begin, is_backward=is_backward),
    }


def removal_context(removal: KeyRemoval, user: AbstractUser) -> dict[str, Any]:
    is_operator = user.has_perm("ssh_keys.change_keyremoval")
    return {
        "thing": removal,
        "steps": list(steps_of(removal, LISTED)),
        "step_count": removal.steps.count(),
        "done_count": removal.steps.filter(done_at__isnull=False).count(),
        "commands": commands(removal, LISTED) if is_operator else [],
        "can_decide": is_operator,
        "is_waiting": removal.state == KeyRemoval.State.REQUESTED,
        "is_open": removal.state in KeyRemoval.OPEN,
    }
