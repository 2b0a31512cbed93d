"""API tokens, and attempts to sign in, of both of which only digests are kept; answers that are given again."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from sandfly_web.accounts.roles import Description


class ApiToken(models.Model):
    """A way for a program to act as a user until it expires. Written by `accounts.services`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=127)
    role = models.CharField(
        max_length=16,
        choices=Description.choices,
        blank=True,
        help_text="It may never do more than this role, nor more than its user; empty: all that its user may.",
    )
    is_limited_to_hosts = models.BooleanField(
        default=False, help_text="It knows only of hosts with one of its tags; with no tag, of none."
    )
    host_tags = models.ManyToManyField("inventory.Tag", blank=True, related_name="+")
    prefix = models.CharField(max_length=12, editable=False, help_text="First characters, to tell tokens apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class HostLimit(models.Model):
    """A user who has one knows only of hosts with one of its tags; with no tag, of none. Written by administrators."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="host_limit")
    tags = models.ManyToManyField("inventory.Tag", blank=True, related_name="+")

    class Meta:
        verbose_name = "limit to hosts"
        verbose_name_plural = "limits to hosts"

    def __str__(self) -> str:
        return str(self.user)


class IdempotentAnswer(models.Model):
    """What a request under an `Idempotency-Key` was answered with. Written by `accounts.idempotency`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    caller = models.CharField(max_length=32, help_text="`token 7`, or `user 3` who signed in: whose key it is.")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="HMAC of the request: never its body, which may hold secrets.")
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField(null=True, help_text="Packed by zlib; null: too long to be kept.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotent_answer_unique")]
        indexes = [
            # Those to forget.
            models.Index(fields=["created_at"], name="idempotent_answer_age"),
        ]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"


class LoginAttempts(models.Model):
    """Attempts with one user name from one address since the first that failed. Written by `accounts.logins`."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of the name and the address.")
    count = models.PositiveIntegerField()
    since = models.DateTimeField()

    class Meta:
        indexes = [
            # What is over is deleted with the next attempt of anybody.
            models.Index(fields=["since"], name="login_attempts_since"),
        ]

    def __str__(self) -> str:
        return self.digest[:12]
