"""Visits to real sshd hosts: who gets in, as whom the probe runs, and that nothing stays."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace

from scanners.contract import Become, HostKeyPin, JumpEndpoint, Limits, Outcome, RuleState, ScanReport
from scanners.visit import run_visit
from tests.hosts.host import Host, User, make_host
from tests.scanners.standin import FOOTER, HEADER, PLAN, READY, UNLINK, WHOLE, make_job, script_build

pytestmark = pytest.mark.integration

PASSWORD = "canary pass'word \\ $x"


def visit(host: Host, *secrets: Any, build: Any, **changes: Any) -> ScanReport:
    keywords = {name: changes.pop(name) for name in ("jump_secrets", "should_stop") if name in changes}
    endpoint = changes.pop("endpoint", host.endpoint)
    return run_visit(make_job(endpoint, **changes), PLAN, list(secrets), get_build=lambda arch: build, **keywords)


@pytest.fixture
def build(tmp_path: Path) -> Any:
    return script_build(tmp_path)


@pytest.fixture
def host() -> Any:
    users = [
        User("plain", password=PASSWORD, passphrase="open sesame"),
        User("asked", password=PASSWORD, sudo="password"),
        User("free", password=PASSWORD, sudo="nopasswd"),
    ]
    with make_host("web1", users=users) as running:
        yield running


def assert_done_and_clean(report: ScanReport, host: Host) -> None:
    assert (report.outcome, report.failure) == (Outcome.DONE, None)
    assert report.cleanup is None
    assert report.removed == report.created != []
    assert host.wait_clean() == []


def test_key_gets_in_and_every_rule_has_a_status(host: Host, build: Any) -> None:
    report = visit(host, host.secret(), build=build)

    assert_done_and_clean(report, host)
    assert [(rule.rule_id, rule.state) for rule in report.rules] == [("rule-a", RuleState.PASS)]


def test_report_tells_profile_cost_and_time_of_each_step(host: Host, build: Any) -> None:
    report = visit(host, host.secret(), build=build)

    assert report.profile is not None
    assert (report.profile.hostname, report.profile.arch, report.profile.os_id) == ("web1", "amd64", "debian")
    assert report.cost.probe_wall_s == 0.5
    assert report.cost.uploaded_bytes > 1000 < report.cost.downloaded_bytes
    assert {"connect", "auth", "profile", "stage", "start", "run", "cleanup", "total"} == set(report.timings_s)
    assert report.probe_digest == build.sha256


def test_key_with_passphrase_gets_in(host: Host, build: Any) -> None:
    assert_done_and_clean(visit(host, host.secret("plain"), build=build), host)


def test_wrong_passphrase_is_told_without_connecting(host: Host, build: Any) -> None:
    report = visit(host, host.secret("plain", passphrase="wrong"), build=build)

    assert report.failure and report.failure.code == "key_unreadable"
    assert host.authentications() == []


def test_password_gets_in(host: Host, build: Any) -> None:
    assert_done_and_clean(visit(host, host.password_secret("plain"), build=build), host)


def test_password_gets_in_where_only_keyboard_interactive_is_offered(build: Any) -> None:
    options = {"UsePAM": "yes", "KbdInteractiveAuthentication": "yes", "PasswordAuthentication": "no"}
    with make_host("web1", users=[User("plain", password=PASSWORD)], sshd_options=options) as host:
        assert_done_and_clean(visit(host, host.password_secret("plain"), build=build), host)


def test_wrong_password_is_tried_exactly_once(host: Host, build: Any) -> None:
    report = visit(host, host.password_secret("plain", password="wrong"), build=build)

    assert report.failure and report.failure.code == "auth_rejected" and not report.failure.retryable
    assert len([line for line in host.log().splitlines() if "Failed password" in line]) == 1


def test_of_several_passwords_for_one_user_only_the_first_is_tried(host: Host, build: Any) -> None:
    secrets = [host.password_secret("plain", password=word) for word in ("one", "two", "three")]

    visit(host, *secrets, build=build)

    assert len([line for line in host.log().splitlines() if "Failed password" in line]) == 1


def test_second_user_is_tried_when_the_first_is_refused(host: Host, build: Any) -> None:
    report = visit(host, host.secret("plain", private_key=host.key_path().read_text()), host.secret(), build=build)

    assert_done_and_clean(report, host)
    assert report.profile is not None and report.profile.username == "root"


def test_missing_credential_is_told(host: Host, build: Any) -> None:
    report = visit(host, build=build)

    assert report.failure and report.failure.code == "credential_missing"


# --- root ---


def test_root_login_runs_plain(host: Host, build: Any) -> None:
    report = visit(host, host.secret(), build=build)

    assert report.profile is not None
    assert (report.profile.become, report.profile.is_root) == (Become.NONE, True)


def test_sudo_without_password_makes_root(host: Host, build: Any) -> None:
    report = visit(host, host.secret("free"), build=build)

    assert_done_and_clean(report, host)
    assert report.profile is not None and report.profile.become == Become.SUDO and report.profile.is_root


def test_sudo_with_password_makes_root(host: Host, build: Any) -> None:
    report = visit(host, host.secret("asked", become_password=PASSWORD), build=build)

    assert_done_and_clean(report, host)
    assert report.profile is not None and report.profile.become == Become.SUDO and report.profile.is_root


def test_login_password_serves_for_sudo(host: Host, build: Any) -> None:
    report = visit(host, host.password_secret("asked"), build=build)

    assert report.profile is not None and report.profile.is_root


def test_sudo_leaves_no_ticket_on_the_host(host: Host, build: Any) -> None:
    visit(host, host.password_secret("asked"), build=build)

    assert list((host.root / "run/sudo").glob("ts/*")) == []


# All that the probe is given, which has no end: what comes within a second of its beginning.
KEEP_PLAN = "head -c 1 >/run/plan; timeout 1 cat >>/run/plan\n"


def unpacked(given: bytes) -> str:
    """The document that is all of what a probe was given."""
    assert given.endswith(b"\n")
    return gzip.decompress(given[:-1]).decode()


@pytest.mark.parametrize("username", ["free", "asked"])
def test_password_never_reaches_the_probe(host: Host, tmp_path: Path, username: str) -> None:
    witness = "env >/run/env; cat /proc/$$/cmdline >>/run/env\n"
    build = script_build(tmp_path, UNLINK + READY + KEEP_PLAN + witness + HEADER + FOOTER)

    report = visit(host, host.password_secret(username), build=build)

    plan = unpacked((host.root / "run/plan").read_bytes())
    assert report.profile is not None and report.profile.is_root
    assert '"rules":' in plan
    assert PASSWORD not in plan + (host.root / "run/env").read_text()


def test_wrong_sudo_password_is_tried_once_and_degrades_to_the_user(host: Host, build: Any) -> None:
    report = visit(host, host.secret("asked", become_password="wrong"), build=build)

    assert_done_and_clean(report, host)
    assert report.profile is not None
    assert (report.profile.become, report.profile.is_root) == (Become.NONE, False)


def test_user_without_sudo_degrades(host: Host, build: Any) -> None:
    report = visit(host, host.password_secret("plain"), build=build)

    assert_done_and_clean(report, host)
    assert report.profile is not None and not report.profile.is_root


def test_become_none_asks_for_no_root(host: Host, build: Any) -> None:
    report = visit(host, host.secret("free", become=Become.NONE), build=build)

    assert report.profile is not None and not report.profile.is_root


def test_su_with_the_password_of_root_makes_root(build: Any) -> None:
    with make_host("web1", users=[User("plain"), User("root", password=PASSWORD)]) as host:
        report = visit(host, host.secret("plain", become=Become.SU, become_password=PASSWORD), build=build)

        assert_done_and_clean(report, host)
        assert report.profile is not None and report.profile.become == Become.SU and report.profile.is_root


def test_su_with_a_wrong_password_degrades(build: Any) -> None:
    with make_host("web1", users=[User("plain"), User("root", password=PASSWORD)]) as host:
        report = visit(host, host.secret("plain", become=Become.SU, become_password="wrong"), build=build)

        assert_done_and_clean(report, host)
        assert report.profile is not None and not report.profile.is_root


@pytest.fixture(scope="module")
def terminals() -> Any:
    """doas in its three ways; sudo that wants a terminal; su with root's password."""
    users = [
        User("granted"),
        User("keeping", password=PASSWORD),
        User("doer", password=PASSWORD),
        User("tty", password=PASSWORD, sudo="password"),
        User("ttyfree", sudo="nopasswd"),
        User("root", password=PASSWORD),
    ]
    with make_host("doas1", users=users) as running:
        running.write("/etc/doas.conf", "permit nopass granted\npermit persist keeping\npermit doer\n", 0o400)
        running.write("/etc/sudoers.d/tty", "Defaults requiretty\n", 0o440)
        yield running


# A report of every byte there is: a terminal would change some of them.
BYTES = "".join(chr(code) for code in range(1, 0x250)) * 40
MATCH_LINE = json.dumps(
    {
        "type": "match",
        "subject": "process",
        "rules": [0],
        "identity": {"pid": 1},
        "record": {"pid": 1, "cmdline": BYTES},
    },
    ensure_ascii=False,
)


@pytest.fixture(scope="module")
def bare_build(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its report has a mebibyte of all sorts of characters; it keeps what it and all others on the host were given."""
    lines = f"cat <<'END'\n{MATCH_LINE}\nEND\n" * 25
    witness = "env >/run/env; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >/run/lines\n"
    body = UNLINK + READY + KEEP_PLAN + witness + HEADER + lines + FOOTER
    return script_build(tmp_path_factory.mktemp("bare"), body)


@pytest.mark.parametrize(
    ("username", "become"),
    [("granted", Become.DOAS), ("keeping", Become.DOAS), ("doer", Become.DOAS), ("tty", Become.SUDO),
     ("ttyfree", Become.SUDO)],
)  # fmt: skip
def test_root_by_what_asks_on_a_terminal_only(terminals: Host, bare_build: Any, username: str, become: Become) -> None:
    secret = terminals.secret(username, become=become, become_password="" if "free" in username else PASSWORD)

    report = visit(terminals, secret, build=bare_build)

    assert_done_and_clean(report, terminals)
    assert report.profile is not None
    assert (report.profile.become, report.profile.is_root) == (become, True)
    assert [match.record["cmdline"] for match in report.matches] == [BYTES] * 25
    seen = {name: (terminals.root / "run" / name).read_bytes() for name in ("plan", "env", "lines")}
    assert b'"rules":' in unpacked(seen["plan"]).encode()
    assert PASSWORD.encode() not in b"".join(seen.values())


def test_doas_leaves_no_ticket_on_the_host(terminals: Host, build: Any) -> None:
    """Although its configuration lets passwords hold for a while."""
    visit(terminals, terminals.secret("keeping", become=Become.DOAS, become_password=PASSWORD), build=build)

    assert list((terminals.root / "run/doas").glob("*")) == []


@pytest.mark.parametrize(("username", "become"), [("doer", Become.DOAS), ("tty", Become.SUDO)])
def test_a_wrong_password_on_a_terminal_is_tried_once(
    terminals: Host, build: Any, username: str, become: Become, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "scanners"):
        report = visit(terminals, terminals.secret(username, become=become, become_password="wr0ng"), build=build)

    assert_done_and_clean(report, terminals)
    assert report.profile is not None and not report.profile.is_root
    assert "gave no root" in caplog.text and "wr0ng" not in caplog.text


def test_a_password_that_sudo_refused_is_not_tried_by_doas(terminals: Host, build: Any) -> None:
    terminals.write("/usr/local/bin/doas", "#!/bin/sh\ntouch /tmp/asked\nexit 1\n", 0o755)
    try:
        report = visit(terminals, terminals.secret("tty", become_password="wr0ng"), build=build)
    finally:
        terminals.run("rm /usr/local/bin/doas")

    assert_done_and_clean(report, terminals)
    assert not (terminals.root / "tmp/asked").exists()


def test_a_host_without_script_says_what_is_missing(
    terminals: Host, build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    terminals.run("mv /usr/bin/script /usr/bin/script.away")
    try:
        with caplog.at_level(logging.INFO, "scanners"):
            secret = terminals.secret("doer", become=Become.DOAS, become_password=PASSWORD)
            report = visit(terminals, secret, build=build)
    finally:
        terminals.run("mv /usr/bin/script.away /usr/bin/script")

    assert_done_and_clean(report, terminals)
    assert "doas gave no root: it wants a terminal, and the host has no script(1) to make one" in caplog.text


def test_su_that_wants_a_terminal_gets_one(terminals: Host, bare_build: Any) -> None:
    """As shadow's and coreutils' did, on distributions up to about 2016."""
    picky = '#!/bin/sh\n[ -t 0 ] || { echo "su: must be run from a terminal" >&2; exit 1; }\nexec /usr/bin/su "$@"\n'
    terminals.write("/usr/local/bin/su", picky, 0o755)
    try:
        secret = terminals.secret("doer", become=Become.SU, become_password=PASSWORD)
        report = visit(terminals, secret, build=bare_build)
    finally:
        terminals.run("rm /usr/local/bin/su")

    assert_done_and_clean(report, terminals)
    assert report.profile is not None
    assert (report.profile.become, report.profile.is_root) == (Become.SU, True)
    assert [match.record["cmdline"] for match in report.matches] == [BYTES] * 25
    assert PASSWORD.encode() not in (terminals.root / "run/lines").read_bytes()


# --- host keys ---


def test_changed_host_key_is_an_alert_and_stops_before_authentication(host: Host, build: Any) -> None:
    old = host.endpoint
    host.rekey()
    before = len(host.authentications())

    report = visit(host, host.secret(), host.password_secret("plain"), build=build, endpoint=old)

    assert report.failure and report.failure.code == "host_key_changed"
    assert report.presented_host_keys == [host.host_keys[0]]
    assert len(host.authentications()) == before


def test_changed_host_key_is_not_enrolled(host: Host, build: Any) -> None:
    old = host.endpoint
    host.rekey()

    report = visit(host, host.secret(), build=build, endpoint=old, allow_new_host_key=True)

    assert report.failure and report.failure.code == "host_key_changed"


def test_unknown_host_key_without_enrolment_stops_before_authentication(host: Host, build: Any) -> None:
    report = visit(host, host.secret(), build=build, endpoint=host.unpinned_endpoint)

    assert report.failure and report.failure.code == "host_key_unknown"
    assert report.presented_host_keys == [host.host_keys[0]]
    assert host.authentications() == []


def test_enrolment_reports_the_key_that_was_shown(host: Host, build: Any) -> None:
    report = visit(host, host.secret(), build=build, endpoint=host.unpinned_endpoint, allow_new_host_key=True)

    assert_done_and_clean(report, host)
    assert report.presented_host_keys == [host.host_keys[0]]


def test_pin_of_the_less_preferred_key_is_no_change(host: Host, build: Any) -> None:
    host.host_keys = [pin for pin in host.host_keys if pin.key_type.startswith("ecdsa")]

    assert_done_and_clean(visit(host, host.secret(), build=build), host)


def test_one_pinned_key_that_went_away_is_no_change_while_another_is_there(host: Host, build: Any) -> None:
    gone = rsa.generate_private_key(65537, 2048).public_key()
    encoding, layout = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    key_type, blob = gone.public_bytes(encoding, layout).decode().split()
    ecdsa = [pin for pin in host.host_keys if pin.key_type.startswith("ecdsa")]
    host.host_keys = [HostKeyPin(key_type=key_type, public_key=blob), *ecdsa]

    report = visit(host, host.secret(), build=build)

    assert_done_and_clean(report, host)
    assert report.presented_host_keys == ecdsa


def test_pinned_type_that_the_host_no_longer_has_is_a_change(build: Any) -> None:
    with make_host("web1", sshd_options={"HostKeyAlgorithms": "ssh-ed25519"}) as host:
        host.host_keys = [pin for pin in host.host_keys if pin.key_type.startswith("ecdsa")]

        report = visit(host, host.secret(), build=build)

        assert report.failure and report.failure.code == "host_key_changed"
        assert host.authentications() == []


def test_pin_of_an_unusable_type_is_not_taken_as_no_pin(host: Host, build: Any) -> None:
    host.host_keys = [HostKeyPin(key_type="ssh-dss", public_key="AAAAB3NzaC1kc3M=")]

    report = visit(host, host.secret(), build=build, allow_new_host_key=True)

    assert report.failure and report.failure.code == "host_key_unknown"
    assert host.authentications() == []


# --- jump hosts ---


def test_jump_host_with_its_own_credential(build: Any) -> None:
    with make_host("jump", address="127.0.5.2") as jump, make_host("inner", address="127.0.5.3") as inner:
        endpoint = through(inner, jump)

        report = visit(inner, inner.secret(), build=build, endpoint=endpoint, jump_secrets=[jump.secret()])

        assert_done_and_clean(report, inner)
        assert report.profile is not None and report.profile.hostname == "inner"
        assert report.presented_host_keys == [inner.host_keys[0]]


def test_changed_key_of_a_jump_host_stops(build: Any) -> None:
    with make_host("jump", address="127.0.5.2") as jump, make_host("inner", address="127.0.5.3") as inner:
        endpoint = through(inner, jump)
        jump.rekey()

        report = visit(inner, inner.secret(), build=build, endpoint=endpoint, jump_secrets=[jump.secret()])

        assert report.failure and report.failure.code == "host_key_changed"
        assert "jump host" in report.failure.message
        assert report.presented_host_keys == []


def test_jump_host_that_cannot_reach_the_host(build: Any) -> None:
    with make_host("jump", address="127.0.5.2") as jump, make_host("inner", address="127.0.5.3") as inner:
        endpoint = through(inner, jump)
        inner.run("kill $(cat /run/sshd.pid)")

        report = visit(inner, inner.secret(), build=build, endpoint=endpoint, jump_secrets=[jump.secret()])

        assert report.failure and report.failure.code == "jump_failed"
        assert "cannot reach 127.0.5.3" in report.failure.message


def through(inner: Host, jump: Host) -> Any:
    hop = JumpEndpoint(address=jump.address, port=jump.port, host_keys=jump.host_keys)
    endpoint = inner.endpoint
    return type(endpoint)(address=endpoint.address, port=endpoint.port, host_keys=endpoint.host_keys, jumps=[hop])


# --- staging ---


def test_noexec_directories_are_passed_over(build: Any) -> None:
    with make_host("web1", noexec=["/dev/shm", "/tmp"]) as host:
        report = visit(host, host.secret(), build=build)

        assert_done_and_clean(report, host)
        assert report.created[0].startswith("/var/tmp/")


def test_no_directory_to_run_from_is_told(build: Any) -> None:
    with make_host("web1", noexec=["/dev/shm", "/tmp", "/var/tmp"], users=[User("plain")]) as host:
        host.run("chmod 500 /home/plain")

        report = visit(host, host.secret("plain"), build=build)

        assert report.failure and report.failure.code == "no_exec_dir"
        assert host.wait_clean() == []


def test_a_place_that_is_named_for_the_host_is_the_only_one(build: Any) -> None:
    with make_host("web1", noexec=["/dev/shm", "/tmp", "/var/tmp"], users=[User("plain")]) as host:
        host.run("chmod 500 /home/plain; mkdir -p '/opt/for scans'; chown plain '/opt/for scans'")
        named, missing = (replace(host.endpoint, staging_directory=path) for path in ("/opt/for scans", "/opt/none"))

        report = visit(host, host.secret("plain"), build=build, endpoint=named)
        nowhere = visit(host, host.secret(), build=build, endpoint=missing)

        assert_done_and_clean(report, host)
        assert report.created[0].startswith("/opt/for scans/.sf-")
        assert host.run("ls -A '/opt/for scans'").stdout == ""
        assert nowhere.failure and nowhere.failure.code == "no_exec_dir"
        assert "/opt/none" in nowhere.failure.message
        assert host.leftovers() == []


def test_a_full_place_is_left_for_the_next_one(tmp_path: Path) -> None:
    build = script_build(tmp_path, padding=300_000)
    with make_host("web1", noexec=["/tmp", "/var/tmp"]) as host:
        host.run("mount -o remount,size=64k /dev/shm")

        report = visit(host, host.secret(), build=build)

        assert_done_and_clean(report, host)
        assert any(path.startswith("/root/.sf-") for path in report.created), report.created


def test_full_file_system_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    build = script_build(tmp_path, padding=300_000)
    with make_host("web1", noexec=["/tmp", "/var/tmp"]) as host:
        host.run("mount -o remount,size=64k /dev/shm; cp -a /root/.ssh /tmp/")
        host.run("mount -t tmpfs -o size=64k,mode=0700 none /root; mv /tmp/.ssh /root/")

        report = visit(host, host.secret(), build=build)

        assert report.failure and report.failure.code == "upload_failed"
        assert host.wait_clean() == []


def test_old_directories_of_lost_visits_are_removed(host: Host, build: Any) -> None:
    host.run(
        "mkdir /tmp/.sf-0123456789abcdef /tmp/.sf-fedcba9876543210 && touch -d '2 hours ago' /tmp/.sf-0123456789abcdef"
    )

    report = visit(host, host.secret(), build=build)

    assert "/tmp/.sf-0123456789abcdef" in report.removed
    assert host.leftovers() == [str(host.root / "tmp/.sf-fedcba9876543210")]


def test_noise_of_login_scripts_is_no_harm(build: Any) -> None:
    noisy = User("noisy", shell="/bin/bash", bashrc='echo "Welcome to web1!"; echo "{}"; echo careful >&2\n')
    with make_host("web1", users=[noisy], sshd_options={"Banner": "/etc/hostname"}) as host:
        assert_done_and_clean(visit(host, host.secret("noisy"), build=build), host)


@pytest.mark.parametrize("username", ["root", "plain"])
def test_dropbear_with_nothing_but_busybox(build: Any, username: str) -> None:
    with make_host("tiny", flavour="busybox", users=[User("plain", password=PASSWORD)]) as host:
        report = visit(host, host.secret(username), build=build)

        assert_done_and_clean(report, host)
        assert report.profile is not None and report.profile.os_id == "tiny"


def test_password_on_dropbear(build: Any) -> None:
    with make_host("tiny", flavour="busybox", users=[User("plain", password=PASSWORD)]) as host:
        assert_done_and_clean(visit(host, host.password_secret("plain"), build=build), host)


def test_host_without_sftp(build: Any) -> None:
    with make_host("web1", sshd_options={"Subsystem": "sftp /bin/false"}) as host:
        assert_done_and_clean(visit(host, host.secret(), build=build), host)


def test_limits_of_the_job_reach_the_probe(host: Host, tmp_path: Path) -> None:
    build = script_build(tmp_path, UNLINK + READY + KEEP_PLAN + HEADER + FOOTER)

    visit(host, host.secret(), build=build, limits=Limits(cpu_percent=7, probe_deadline_s=33))

    plan = unpacked((host.root / "run/plan").read_bytes())
    assert '"cpu_percent":7' in plan and '"deadline_s":33' in plan


def test_whole_report_counts_although_the_probe_ends_badly(host: Host, tmp_path: Path) -> None:
    report = visit(host, host.secret(), build=script_build(tmp_path, WHOLE + "exit 3\n"))

    assert_done_and_clean(report, host)


# --- servers and keys of other kinds ---


def test_rsa_host_key_is_pinned_and_enrolled(build: Any) -> None:
    options = {"HostKey": "/etc/ssh/rsa_key", "HostKeyAlgorithms": "rsa-sha2-512,rsa-sha2-256"}
    with make_host("web1", sshd_options=options, before_start="ssh-keygen -q -t rsa -N '' -f etc/ssh/rsa_key") as host:
        key_type, blob = (host.root / "etc/ssh/rsa_key.pub").read_text().split()[:2]
        host.host_keys = [HostKeyPin(key_type=key_type, public_key=blob)]

        pinned = visit(host, host.secret(), build=build)
        enrolled = visit(host, host.secret(), build=build, endpoint=host.unpinned_endpoint, allow_new_host_key=True)

        assert_done_and_clean(pinned, host)
        assert enrolled.presented_host_keys == host.host_keys


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_user_key_of_every_usual_type_gets_in(host: Host, build: Any, kind: str) -> None:
    host.run(f"ssh-keygen -q -t {kind} -N secret -f /run/key && cat /run/key.pub >>/root/.ssh/authorized_keys")
    private_key = (host.root / "run/key").read_text()

    report = visit(host, host.secret(private_key=private_key, passphrase="secret"), build=build)

    assert_done_and_clean(report, host)


def test_one_session_at_a_time_is_enough(build: Any) -> None:
    users = [User("asked", password=PASSWORD, sudo="password")]
    with make_host("web1", users=users, sshd_options={"MaxSessions": "1"}) as host:
        report = visit(host, host.secret("asked", become_password="wrong"), build=build)

        assert_done_and_clean(report, host)


def test_login_shell_that_is_no_posix_shell(host: Host, build: Any) -> None:
    host.write("/bin/oddsh", '#!/bin/sh\n[ "$1" = -c ] && shift\neval "$1"\n', 0o755)
    host.run("sed -i '/^plain:/s,/bin/sh$,/bin/oddsh,' /etc/passwd")

    assert_done_and_clean(visit(host, host.secret("plain"), build=build), host)


def test_account_without_a_shell_is_told(build: Any) -> None:
    with make_host("web1", users=[User("closed", shell="/usr/sbin/nologin")]) as host:
        report = visit(host, host.secret("closed"), build=build)

        assert report.failure and report.failure.code == "no_shell"
