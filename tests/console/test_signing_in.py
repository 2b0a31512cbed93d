"""Signing in and out: passwords cannot be guessed in bulk, and nothing tells which part was wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sandfly_web.accounts.logins import MAX_ATTEMPTS, WINDOW, attempts_digest, may_try
from sandfly_web.console.security import HEADER, POLICY
from tests.api.builders import WebMake

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "a-long-Passphrase-7", "a-wrong-Passphrase-7"


@pytest.fixture
def user(make: WebMake) -> Any:
    user = make.person("viewer")
    user.set_password(RIGHT)
    user.save()
    return user


def sign_in(user: Any, password: str, address: str = "192.0.2.1", name: str = "") -> Any:
    body = {"username": name or user.username, "password": password}
    return Client(REMOTE_ADDR=address).post(reverse("admin:login"), body)


def is_in(answer: Any) -> bool:
    return answer.status_code == 302


def fail(user: Any, times: int, **options: str) -> Any:
    return [sign_in(user, WRONG, **options) for _ in range(times)][-1]


def test_right_password_is_refused_after_too_many_wrong_ones(user: Any) -> None:
    fail(user, MAX_ATTEMPTS)

    assert not is_in(sign_in(user, RIGHT))


def test_last_attempt_may_still_be_the_right_one_and_clears_the_others(user: Any) -> None:
    for _ in range(3):
        fail(user, MAX_ATTEMPTS - 1)
        assert is_in(sign_in(user, RIGHT))


def test_other_addresses_and_other_users_are_not_refused(make: WebMake, user: Any) -> None:
    other = make.person("viewer")
    other.set_password(RIGHT)
    other.save()

    fail(user, MAX_ATTEMPTS)

    assert is_in(sign_in(user, RIGHT, address="192.0.2.2"))
    assert is_in(sign_in(other, RIGHT))


def test_another_spelling_of_a_name_is_the_same_name(user: Any) -> None:
    fail(user, MAX_ATTEMPTS, name=user.username.upper())

    assert not is_in(sign_in(user, RIGHT))


def test_the_answer_does_not_tell_what_was_wrong(user: Any) -> None:
    def words(answer: Any) -> list[str]:
        return [str(error) for error in answer.context["form"].non_field_errors()]

    wrong, unknown = words(fail(user, 1)), words(fail(user, 1, name="nobody"))
    fail(user, MAX_ATTEMPTS)

    assert wrong == unknown == words(sign_in(user, RIGHT))
    assert "15 minutes" in wrong[0]


def test_refusal_ends_after_a_while(user: Any) -> None:
    now = timezone.now()
    for _ in range(MAX_ATTEMPTS):
        may_try(user.username, "192.0.2.1", now - WINDOW)

    assert is_in(sign_in(user, RIGHT))


def test_refused_attempts_do_not_prolong_the_refusal(db: None) -> None:
    now = timezone.now()
    allowed = [may_try("a", "", now + timedelta(minutes=minute)) for minute in range(16)]

    assert allowed == [True] * MAX_ATTEMPTS + [False] * (15 - MAX_ATTEMPTS) + [True]


def test_what_was_typed_as_a_name_is_not_kept(user: Any) -> None:
    from sandfly_web.accounts.models import LoginAttempts

    fail(user, 1, name="my-password-by-mistake")

    assert LoginAttempts.objects.get().digest == attempts_digest("my-password-by-mistake", "192.0.2.1")
    assert "mistake" not in str(LoginAttempts.objects.values())


def test_the_installations_banner_stands_above_the_form_as_text(settings: Any) -> None:
    settings.LOGIN_BANNER = "Authorized use only. <b>Use is recorded.</b>"

    page = Client().get(reverse("admin:login")).content.decode()

    assert "Authorized use only. &lt;b&gt;Use is recorded.&lt;/b&gt;" in page
    assert page.index("sf-banner") < page.index("login-form")


def test_no_banner_leaves_no_empty_box() -> None:
    assert "sf-banner" not in Client().get(reverse("admin:login")).content.decode()


def test_refused_sign_ins_are_counted_on_the_users_page_and_told_in_the_audit_log(make: WebMake, user: Any) -> None:
    from auditlog.models import LogEntry

    fail(user, 3)
    fail(user, 1, name="nobody-has-this")
    assert is_in(sign_in(user, RIGHT))
    admin = Client()
    admin.force_login(make.person("admin"))

    page = admin.get(reverse("admin:auth_user_change", args=[user.pk])).content.decode()
    told = LogEntry.objects.filter(changes__has_key="sign_in").order_by("id")

    assert "3 in the last 30 days" in page
    assert [entry.changes["sign_in"][1] for entry in told] == ["refused"] * 4 + ["accepted"]
    assert [entry.object_repr for entry in told][2:] == [user.username, "a name that nobody has", user.username]
    assert {entry.remote_addr for entry in told} == {"192.0.2.1"}
    assert "nobody-has-this" not in str(list(told.values()))


def test_session_ends_after_a_working_day(user: Any) -> None:
    answer = sign_in(user, RIGHT)

    assert answer.cookies["sessionid"]["max-age"] == 12 * 3600


def test_signing_out_ends_the_session(user: Any) -> None:
    client = Client()
    client.post(reverse("admin:login"), {"username": user.username, "password": RIGHT})

    client.post(reverse("admin:logout"))

    assert client.get(reverse("admin:index")).status_code == 302


def test_people_change_their_own_password(user: Any) -> None:
    client = Client()
    client.post(reverse("admin:login"), {"username": user.username, "password": RIGHT})
    new = "another-Passphrase-8"

    page = client.get(reverse("admin:password_change"))
    refused = client.post(
        reverse("admin:password_change"), {"old_password": RIGHT, "new_password1": "short", "new_password2": "short"}
    )
    done = client.post(
        reverse("admin:password_change"), {"old_password": RIGHT, "new_password1": new, "new_password2": new}
    )

    assert (page.status_code, refused.status_code, done.status_code) == (200, 200, 302)
    assert is_in(sign_in(user, new))


@pytest.mark.parametrize(
    "path", ["/login/", "/", "/api/v1/me", "/api/v1/nothing", "/healthz", "/static/console/console.css"]
)
def test_every_answer_carries_the_policy(path: str) -> None:
    answer = Client().get(path)

    assert answer[HEADER] == POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_the_menu_leads_to_the_change_of_the_password(user: Any) -> None:
    client = Client()
    client.force_login(user)

    assert f'href="{reverse("admin:password_change")}"' in client.get("/").content.decode()
