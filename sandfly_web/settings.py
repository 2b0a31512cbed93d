"""Django settings; every value that differs between installations comes from the environment (see README)."""

from __future__ import annotations

from pathlib import Path

from django.core.management.utils import get_random_secret_key

from sandfly_web import env
from sandfly_web.embedded.paths import DataDir, default_data_dir
from scanners.contract import HEARTBEAT_TTL_DEFAULT_S

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = DataDir(default_data_dir())

DEBUG = env.boolean("SANDFLY_DEBUG", default=False)
# A random key keeps commands without a server working; wsgi.py refuses to serve with it.
CONFIGURED_SECRET_KEY = env.secret("SANDFLY_SECRET_KEY", DATA_DIR.secret_key)
SECRET_KEY = CONFIGURED_SECRET_KEY or get_random_secret_key()
ALLOWED_HOSTS = env.words("SANDFLY_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_FAILURE_VIEW = "sandfly_web.console.faults.csrf_failed"
CSRF_TRUSTED_ORIGINS = env.words("SANDFLY_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    # Its pages are looked for by `urls.py`: scans, workers and migrations have none.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "auditlog",
    "sandfly_web.inventory",
    "sandfly_web.rules",
    "sandfly_web.rules.indicators",
    "sandfly_web.scans",
    "sandfly_web.findings",
    "sandfly_web.findings.ssh_keys",
    "sandfly_web.accounts",
    "sandfly_web.console",
    "sandfly_web.embedded",
]

MIDDLEWARE = [
    "sandfly_web.console.requestid.RequestIdMiddleware",
    "sandfly_web.console.security.ContentSecurityPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "sandfly_web.accounts.limits.HostLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "sandfly_web.accounts.audit.AuditMiddleware",
]

ROOT_URLCONF = "sandfly_web.urls"
WSGI_APPLICATION = "sandfly_web.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "sandfly_web" / "console" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.database(env.secret("DATABASE_URL") or DATA_DIR.database_url)}
REDIS_URL = env.secret("REDIS_URL") or DATA_DIR.redis_url
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = ["sandfly_web.accounts.authentication.ThrottledBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Shown before anybody signs in, such as who may and that use is recorded.
LOGIN_BANNER = env.secret("SANDFLY_LOGIN_BANNER")

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = ["sandfly_web.formats"]
USE_TZ = True

STATIC_URL = "static/"
# Only for an installation that serves static files from elsewhere: `collectstatic` writes there.
STATIC_ROOT = env.text("SANDFLY_STATIC_ROOT") or None
# Static files straight from the packages: no collectstatic step between a pull and a start.
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_HTTPONLY = True
# A working day, from signing in.
SESSION_COOKIE_AGE = env.integer("SANDFLY_SESSION_AGE", 12 * 3600)
# A proxy in front of the web server speaks TLS.
SESSION_COOKIE_SECURE = env.boolean("SANDFLY_TLS", default=False)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if SESSION_COOKIE_SECURE else 0
# The proxy redirects to HTTPS; other names of the domain, and browsers' built-in lists, are not ours to decide on.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# How often one user may ask the API, such as 3000/min; empty: as often as they like.
API_RATE = env.text("SANDFLY_API_RATE", "3000/min")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "sandfly_web.accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["sandfly_web.accounts.permissions.ModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "sandfly_web.api.pagination.CursorPages",
    "DEFAULT_FILTER_BACKENDS": ["sandfly_web.api.filters.KnownFilters"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["sandfly_web.api.rates.RequestRate"],
    # The address of the connection: a header that any client can write would be a way around the limit.
    "NUM_PROXIES": 0,
    "EXCEPTION_HANDLER": "sandfly_web.api.errors.problem_response",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "sandfly API",
    "DESCRIPTION": "Scan Linux hosts over SSH and read what was found.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        # The default asks a validator on the internet about the document.
        "validatorUrl": None,
        "deepLinking": True,
        # Operations by the name of what they are about, to be opened: of so many, the page draws only those in view.
        "docExpansion": "none",
        "persistAuthorization": False,
        "displayOperationId": False,
    },
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "HostOriginEnum": "sandfly_web.inventory.models.Host.Origin",
        "SeverityEnum": "sandfly_web.rules.models.Severity",
        "RuleTypeEnum": "sandfly_web.rules.models.Rule.Type",
        "RuleOriginEnum": "sandfly_web.rules.models.Rule.Origin",
        "IndicatorKindEnum": "sandfly_web.rules.indicators.models.KINDS",
        "IndicatorFormatEnum": "sandfly_web.rules.indicators.models.FORMATS",
        "RuleOutcomeEnum": "sandfly_web.scans.models.RuleOutcome.State",
        "ScanStatusEnum": "sandfly_web.scans.models.Scan.Status",
        "FindingStatusEnum": "sandfly_web.findings.models.Finding.Status",
        "FindingEventEnum": "sandfly_web.findings.models.FindingEvent.Kind",
        "HostStateEnum": "sandfly_web.inventory.models.Host.State",
        "HostKeyStatusEnum": "sandfly_web.inventory.models.HostKey.Status",
        "CredentialKindEnum": "sandfly_web.inventory.models.Credential.Kind",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "sandfly_web.api.schema.add_problem_responses",
        "sandfly_web.api.examples.add_examples",
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

UNFOLD = {
    "SITE_TITLE": "sandfly",
    "SITE_HEADER": "sandfly",
    "SITE_SUBHEADER": "Agentless Linux security",
    "SITE_URL": None,
    "SITE_ICON": "sandfly_web.console.navigation.icon",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "sandfly_web.console.navigation.icon"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "DASHBOARD_CALLBACK": "sandfly_web.console.dashboard.add_overview",
    "STYLES": ["sandfly_web.console.navigation.stylesheet"],
    "SCRIPTS": ["sandfly_web.console.navigation.expressions", "sandfly_web.console.navigation.script"],
    "COLORS": {"primary": "sandfly_web.console.navigation.primary_color"},
    "SIDEBAR": {"show_search": False, "navigation": "sandfly_web.console.navigation.sidebar"},
    "LOGIN": {"form": "sandfly_web.accounts.forms.SignInForm"},
    "ACCOUNT": {"navigation": "sandfly_web.console.navigation.account"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "sandfly_web.console.requestid.RequestIdFilter"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {request_id} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request"]}},
    "root": {"handlers": ["console"], "level": env.text("SANDFLY_LOG_LEVEL", "WARNING")},
}

# How often beat looks for due hosts, and how long a silent scan is waited for before it is queued again.
DISPATCH_INTERVAL_S = env.integer("SANDFLY_DISPATCH_INTERVAL", 5)
SCAN_SILENCE_S = env.integer("SANDFLY_SCAN_SILENCE", 30)
HEARTBEAT_TTL_S = env.integer("SANDFLY_HEARTBEAT_TTL", HEARTBEAT_TTL_DEFAULT_S)
# A visit that failed is tried again after about this long, then after four times as long.
SCAN_RETRY_S = env.integer("SANDFLY_SCAN_RETRY", 30)
SCAN_MAX_ATTEMPTS = env.integer("SANDFLY_SCAN_ATTEMPTS", 3)
SCAN_EXPIRES_S = env.integer("SANDFLY_SCAN_EXPIRES", 3600)
ZONE_QUEUE_LENGTH = env.integer("SANDFLY_ZONE_QUEUE_LENGTH", 500)
# Reports that may wait before ingest; from half of it on fewer visits begin.
INGEST_BACKLOG = env.integer("SANDFLY_INGEST_BACKLOG", 2000)
# Names, addresses and networks that `callback_url` may lead to although they are not public, such as 10.1.2.0/24.
CALLBACK_HOSTS = env.words("SANDFLY_CALLBACK_HOSTS", [])
CALLBACK_HTTP = env.boolean("SANDFLY_CALLBACK_HTTP", default=False)
# What is kept: final scans, and records that a host no longer has.
SCAN_RETENTION_DAYS = env.integer("SANDFLY_SCAN_RETENTION_DAYS", 90)
RECORD_RETENTION_DAYS = env.integer("SANDFLY_RECORD_RETENTION_DAYS", 365)
