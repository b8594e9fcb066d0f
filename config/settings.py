"""Django settings. Values come from the environment (docs/settings.md lists every name) or from the running embedded stack."""

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import plotly
from celery.schedules import crontab

from config import environment, mail, office, stack

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = environment.folder("TALLYWATT_DATA_DIR", BASE_DIR / "var")
SPOOL_DIR = environment.folder("TALLYWATT_SPOOL_DIR", DATA_DIR / "spool")
STACK = stack.read(DATA_DIR)

DEBUG = environment.flag("TALLYWATT_DEBUG", False)
DEMO = environment.flag("TALLYWATT_DEMO", False)  # pages then say that their data is made up
# Without a stack there is nothing to sign for: a key of this process alone, so that `makemigrations` and the like still run.
SECRET_KEY = STACK.secret_key or secrets.token_urlsafe(48)
ALLOWED_HOSTS = environment.words("TALLYWATT_ALLOWED_HOSTS", ("127.0.0.1", "localhost", "[::1]"))
CSRF_TRUSTED_ORIGINS = environment.words("TALLYWATT_TRUSTED_ORIGINS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.flag("TALLYWATT_SECURE_COOKIES", False)
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # before the admin, whose templates it replaces
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin.apps.SimpleAdminConfig",  # pages register with the site of billing/admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "metering",
    "billing",
    "dashboard",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "dashboard.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.context.chrome",
            ],
        },
    },
]


def _database(url: str) -> dict[str, Any]:
    """Django's description of `postgresql://user:password@host:port/name?sslmode=...`."""
    if not url:  # a name that cannot connect: the commands check for a stack first and say what to do
        return {"ENGINE": "django.db.backends.postgresql", "NAME": "tallywatt", "HOST": "127.0.0.1", "PORT": "1"}
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise environment.SettingError(f"DATABASE_URL: expected postgresql://..., got scheme {parts.scheme!r}")
    options: dict[str, Any] = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "OPTIONS": {**options, "pool": {"min_size": 0, "max_size": 16, "timeout": 10}},
    }


def _broker(url: str) -> str:
    """kombu's spelling of a Redis address: for a Unix socket it wants the password before the path and the database by another name."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = parse_qs(parts.query)
    password = quote(query.get("password", [""])[-1], safe="")
    return f"redis+socket://:{password}@{parts.path}?virtual_host={query.get('db', ['0'])[-1]}"


DATABASES = {"default": _database(STACK.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = STACK.redis_url
CLICKHOUSE_URL = STACK.clickhouse_url
# True where ClickHouse reads the spool itself (embedded, or a volume that both mount): events then never pass through
# Python after the edge. The folder is named as ClickHouse sees it.
CLICKHOUSE_READS_SPOOL = environment.flag("TALLYWATT_CLICKHOUSE_READS_SPOOL", not environment.text("CLICKHOUSE_URL"))
CLICKHOUSE_SPOOL_DIR = environment.text("TALLYWATT_CLICKHOUSE_SPOOL_DIR", str(SPOOL_DIR))

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True

UNFOLD = office.UNFOLD

STATIC_URL = "static/"
# plotly.min.js is served from the installed package: no CDN, and no copy in the repository.
STATICFILES_DIRS = [("vendor/plotly", Path(plotly.__file__).parent / "package_data")]
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tallywatt",
    "DESCRIPTION": "Usage, costs and invoices. Times are UTC, windows half-open, money a decimal string.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # Choices of the same field name in several shapes, which would get made-up names.
    "ENUM_NAME_OVERRIDES": {
        "CreditKindEnum": ["promotional", "paid", "carried"],
        "AlertStateEnum": ["pending", "firing"],
        "AlertEventKindEnum": "metering.alert_models.AlertEvent.Kind",
    },
}

# Ingest limits. Over one of them the answer is 413 or 422, never a time-out.
INGEST_MAX_BODY_BYTES = environment.integer("TALLYWATT_INGEST_MAX_BODY_BYTES", 32 * 2**20, least=1024)
INGEST_MAX_INFLATED_BYTES = environment.integer("TALLYWATT_INGEST_MAX_INFLATED_BYTES", 256 * 2**20, least=1024)
INGEST_MAX_EVENTS = environment.integer("TALLYWATT_INGEST_MAX_EVENTS", 100_000, least=1)
INGEST_MAX_AGE = timedelta(days=environment.integer("TALLYWATT_INGEST_MAX_AGE_DAYS", 3653, least=1))
INGEST_MAX_FUTURE = timedelta(seconds=environment.integer("TALLYWATT_INGEST_MAX_FUTURE_S", 600))
SPOOL_MAX_BYTES = environment.integer("TALLYWATT_SPOOL_MAX_BYTES", 20 * 2**30, least=2**20)
SPOOL_MAX_AGE_S = environment.integer("TALLYWATT_SPOOL_MAX_AGE_S", 86_400, least=0)
SPOOL_MIN_FREE_BYTES = environment.integer("TALLYWATT_SPOOL_MIN_FREE_BYTES", 256 * 2**20, least=0)
# Defaults for keys and tenants that have no limit of their own; 0: not limited.
TELEMETRY_MAX_SERIES = environment.integer("TALLYWATT_TELEMETRY_MAX_SERIES", 20_000, least=1)
INGEST_EVENTS_PER_S_PER_KEY = environment.integer("TALLYWATT_INGEST_EVENTS_PER_S_PER_KEY", 0, least=0)
INGEST_EVENTS_PER_S_PER_TENANT = environment.integer("TALLYWATT_INGEST_EVENTS_PER_S_PER_TENANT", 0, least=0)
HOST_NAME = environment.text("TALLYWATT_HOST")  # empty: this machine's own name
HOST_SILENT_AFTER = timedelta(seconds=environment.integer("TALLYWATT_HOST_SILENT_AFTER_S", 60, least=5))
SEAL_MAX_EVENTS = environment.integer("TALLYWATT_SEAL_MAX_EVENTS", 5_000_000, least=1)
# Above this share an engine's hour counts as leaking; hours with fewer tokens than this on both sides are not judged.
LEAKAGE_ALERT_SHARE = environment.number("TALLYWATT_LEAKAGE_ALERT_SHARE", 0.01, most=1)
LEAKAGE_MIN_TOKENS = environment.integer("TALLYWATT_LEAKAGE_MIN_TOKENS", 100_000, least=1)
# A minute's energy is computed this long after it; docs/energy.md says what the time is for.
ENERGY_SETTLE = timedelta(seconds=environment.integer("TALLYWATT_ENERGY_SETTLE_S", 600, least=300))
# Where each reading saturates: the value at which latency starts to climb (docs/saturation.md).
SATURATION_POINTS = {
    "kv_cache_usage": environment.number("TALLYWATT_SATURATION_KV_CACHE_USAGE", 0.9, least=0.001),
    "preemption_rate": environment.number("TALLYWATT_SATURATION_PREEMPTION_RATE", 0.02, least=0.001),
    "waiting_per_running": environment.number("TALLYWATT_SATURATION_WAITING_PER_RUNNING", 0.25, least=0.001),
    "dram_active": environment.number("TALLYWATT_SATURATION_DRAM_ACTIVE", 0.75, least=0.001),
    "tensor_active": environment.number("TALLYWATT_SATURATION_TENSOR_ACTIVE", 0.6, least=0.001),
    "power_share": environment.number("TALLYWATT_SATURATION_POWER_SHARE", 0.97, least=0.001),
    "power_throttle": environment.number("TALLYWATT_SATURATION_POWER_THROTTLE", 0.1, least=0.001),
    "thermal_throttle": environment.number("TALLYWATT_SATURATION_THERMAL_THROTTLE", 0.1, least=0.001),
}
# What the GPUs of a cluster may draw together, in kW, where that is less than their limits together (docs/capacity.md).
CAPACITY_POWER_KW = environment.amounts("TALLYWATT_CAPACITY_POWER_KW")
METRICS_OPEN = environment.flag("TALLYWATT_METRICS_OPEN", False)

# Where people reach the pages: what links in e-mails and Stripe's pages lead back to.
PUBLIC_URL = environment.text("TALLYWATT_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
# E-mail (docs/invoicing.md). Without a sender nothing is sent.
EMAIL_FROM = environment.text("TALLYWATT_EMAIL_FROM")
vars().update(mail.settings(environment.text("TALLYWATT_EMAIL_URL", "console:")))
SEND_INVOICES = environment.flag("TALLYWATT_SEND_INVOICES", True)
REMINDER_DAYS = environment.signed_numbers("TALLYWATT_REMINDER_DAYS", (-3, 0, 7, 14))  # after the due date
# How long an expired grant of credit waits for the invoice of its last period (docs/credits.md).
CREDIT_EXPIRY_WAIT_DAYS = environment.integer("TALLYWATT_CREDIT_EXPIRY_WAIT_DAYS", 45, least=0)
# Stripe (docs/stripe.md). Without a key nothing is sent there, and payments are recorded by hand.
STRIPE_SECRET_KEY = environment.text("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRET = environment.text("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = environment.text("TALLYWATT_STRIPE_URL").rstrip("/")  # empty: Stripe itself
# After the first attempt to collect was declined: one more, so many days later, for each of these.
STRIPE_RETRY_DAYS = environment.whole_numbers("TALLYWATT_STRIPE_RETRY_DAYS", (1, 3, 5, 7))
STRIPE_RECONCILE_DAYS = environment.integer("TALLYWATT_STRIPE_RECONCILE_DAYS", 35, least=1)
STRIPE_METER_NAME = environment.text("TALLYWATT_STRIPE_METER_NAME", "tallywatt_{kind}")

CELERY_BROKER_URL = _broker(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
# The broker carries no data: a lost message costs a second. Acknowledged late, it would take the worker down when Redis dies (kombu).
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "tallywatt"
CELERY_BEAT_SCHEDULE = {
    "sweep-spool": {"task": "metering.sweep", "schedule": 1.0, "options": {"expires": 5}},
    "seal-usage": {"task": "metering.seal", "schedule": crontab(minute="*"), "options": {"expires": 50}},
    "sum-up-energy": {"task": "metering.sum_up_energy", "schedule": 60.0, "options": {"expires": 50}},
    "fit-energy": {"task": "metering.fit_energy", "schedule": crontab(minute=5), "options": {"expires": 1800}},
    "bill-due": {"task": "billing.bill_due", "schedule": crontab(minute=10), "options": {"expires": 3000}},
    "keep-margins": {"task": "billing.keep_margins", "schedule": 300.0, "options": {"expires": 250}},
    "mark-past-due": {"task": "billing.past_due", "schedule": crontab(hour=0, minute=30), "options": {"expires": 3600}},
    "send-invoices": {"task": "billing.send_invoices", "schedule": crontab(minute="*/10"), "options": {"expires": 500}},
    "send-reminders": {
        "task": "billing.reminders",
        "schedule": crontab(hour=7, minute=0),
        "options": {"expires": 3600},
    },
    "expire-credit": {"task": "billing.expire_credit", "schedule": crontab(minute=25), "options": {"expires": 3000}},
    "top-up-credit": {"task": "billing.top_up", "schedule": crontab(minute="*/15"), "options": {"expires": 800}},
    "work-stripe": {"task": "billing.stripe_work", "schedule": 30.0, "options": {"expires": 25}},
    "push-stripe-usage": {"task": "billing.stripe_usage", "schedule": crontab(minute=20), "options": {"expires": 1800}},
    "reconcile-stripe": {
        "task": "billing.stripe_reconcile",
        "schedule": crontab(hour=3, minute=40),
        "options": {"expires": 7200},
    },
    "plan-capacity": {"task": "metering.capacity", "schedule": 60.0, "options": {"expires": 50}},
    "work-up-telemetry": {"task": "metering.telemetry", "schedule": 10.0, "options": {"expires": 10}},
    "evaluate-alerts": {"task": "metering.alerts", "schedule": crontab(minute="*"), "options": {"expires": 50}},
    "deliver-alert-notices": {"task": "metering.alert_notices", "schedule": 5.0, "options": {"expires": 5}},
    "count-objectives": {"task": "metering.count_objectives", "schedule": 20.0, "options": {"expires": 20}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": environment.text("TALLYWATT_LOG_LEVEL", "INFO")},
    "loggers": {"httpx": {"level": "WARNING"}},  # a line for every request of the demo's agents would fill the disk
}
