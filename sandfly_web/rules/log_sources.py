"""Which lines of the host's logs a SigmaHQ `logsource` means, and what its field names are called here.

Pure data: `mapping.py` turns it into sources. Conditions look at fields that cost nothing first, so that a rule for one
program is done with the lines of all others at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from scanners.contract import Expr

SUBJECT = "log_line"
# Keywords look at the whole line, and not at each part that was taken out of it.
KEYWORD_FIELD = "text"


def _is(field: str, *values: str) -> Expr:
    return {"field": field, "op": "eq", "values": list(values)}


def _any(*sides: Expr) -> Expr:
    return {"or": list(sides)}


_SYSLOG = ("syslog", "daemon", "user", "kern", "auth", "cron", "mail", "journal")

_NGINX: Expr = {"field": "path", "op": "contains", "values": ["nginx"]}

SERVICES: Mapping[str, Expr] = {
    "auditd": _any(
        _is("log", "audit"), _is("transport", "audit"), _is("program", "auditd", "audispd", "audisp-syslog")
    ),
    "auth": _is("log", "auth", "journal"),
    "secure": _is("log", "auth", "journal"),
    "sshd": _is("program", "sshd", "sshd-session", "sshd-auth"),
    "sudo": _is("program", "sudo"),
    "cron": _any(_is("log", "cron"), _is("program", "cron", "crond", "anacron")),
    "syslog": _is("log", *_SYSLOG),
    "messages": _is("log", *_SYSLOG),
    "daemon": _is("log", "daemon", "syslog", "journal"),
    "kern": _any(_is("log", "kern"), _is("program", "kernel")),
    "journald": _is("log", "journal"),
    "vsftpd": _any(_is("log", "ftp"), _is("program", "vsftpd")),
    "guacamole": _any(_is("log", "guacamole"), _is("program", "guacd", "guacamole", "tomcat9", "tomcat10")),
    "clamav": _any(_is("log", "antivirus"), _is("program", "clamd", "freshclam", "clamscan", "clamonacc")),
    "modsecurity": _is("log", "web_error"),
    "apache": {"and": [_is("log", "web", "web_error"), {"not": _NGINX}]},
    "nginx": {"and": [_is("log", "web", "web_error"), _NGINX]},
    "sysmon": _is("program", "sysmon"),
}  # fmt: skip

CATEGORIES: Mapping[str, Expr] = {
    "webserver": _is("log", "web"),
    "proxy": _is("log", "proxy"),
    "antivirus": _is("log", "antivirus"),
    # What resolvers on the host write when they are told to log queries, and netfilter's LOG target.
    "dns": _is("program", "dnsmasq", "named", "unbound", "coredns", "systemd-resolved"),
    "firewall": {"and": [
        _any(_is("log", "kern"), _is("program", "kernel", "ulogd")),
        {"field": "text", "op": "contains", "values": ["SRC=", "DST="], "all": True},
    ]},
}  # fmt: skip

_SUDO = {"USER": "sudo.runas", "COMMAND": "sudo.command", "PWD": "sudo.cwd", "TTY": "sudo.tty"}
_WEB = {
    "cs-method": "web.method",
    "c-uri": "web.uri",
    "cs-uri": "web.uri",
    "cs-uri-stem": "web.path",
    "cs-uri-query": "web.query",
    "c-uri-query": "web.query",
    "sc-status": "web.status",
    "cs-bytes": "web.size",
    "cs-referer": "web.referer",
    "cs-user-agent": "web.user_agent",
    "c-useragent": "web.user_agent",
    "cs-host": "web.host",
    "cs-username": "web.username",
    "c-ip": "web.remote_address",
    "src_ip": "web.remote_address",
}
_NO_HEADER = "access logs do not keep it; look at web.uri, web.referer or web.user_agent"

# Fields that stand inside a text: theirs → our field and RE2 around the value.
INSIDE_NOTE = "read from the line's text in the usual form of such logs"
_FOUND = r": {} FOUND"  # clamd.log: /path: Name FOUND
INSIDE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "antivirus": {"Signature": ("text", _FOUND), "Filename": ("text", r"(?:^|> |]: ){}: \S+ FOUND")},
    "proxy": {"c-uri-extension": ("web.path", r"\.{}$")},
    # dnsmasq: query[A] name from …; named: query: name IN A; unbound: info: 127.0.0.1 name. A IN
    "dns": {
        "query": ("text", r"(?:query\[\w+\] |query: |info: \S+ |lookup request for ){}\.?(?: |$)"),
        "record_type": ("text", r"(?:query\[{}\]| IN {}\b| {} IN\b)"),
        "answer": ("text", r"(?:reply|cached) \S+ is {}"),
    },
    "firewall": {
        "src_ip": ("text", r"\bSRC={}(?: |$)"),
        "dst_ip": ("text", r"\bDST={}(?: |$)"),
        "src_port": ("text", r"\bSPT={}(?: |$)"),
        "dst_port": ("text", r"\bDPT={}(?: |$)"),
    },
}

# Of auditd every field that a record has goes by its own name behind `audit.`.
PREFIXES: Mapping[str, str] = {"auditd": "audit."}
ALIASES: Mapping[str, Mapping[str, str]] = {
    "auditd": {"SYSCALL": "audit.syscall"}, "sudo": _SUDO,
    "webserver": _WEB, "proxy": _WEB, "nginx": _WEB, "apache": _WEB,
}  # fmt: skip
NOT_KEPT: Mapping[str, Mapping[str, str]] = {
    "webserver": dict.fromkeys(("cs-cookie", "cs-content-type"), _NO_HEADER),
    "proxy": dict.fromkeys(("cs-cookie", "cs-content-type", "dst_ip"), _NO_HEADER),
    "firewall": dict.fromkeys(("action", "blocked"), "netfilter's lines do not say what became of the packet"),
}
