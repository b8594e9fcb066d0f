"""Django's e-mail settings from one address, `TALLYWATT_EMAIL_URL`."""

from typing import Any
from urllib.parse import unquote, urlsplit

from config.environment import SettingError

BACKENDS = "django.core.mail.backends"


def settings(url: str) -> dict[str, Any]:
    """`smtp://user:password@host:587` (STARTTLS unless `?tls=0`), `smtps://...:465`, `file:/folder`, `console:`. Raises SettingError."""
    parts = urlsplit(url)
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": f"{BACKENDS}.console.EmailBackend"}
    if parts.scheme == "file":
        return {"EMAIL_BACKEND": f"{BACKENDS}.filebased.EmailBackend", "EMAIL_FILE_PATH": unquote(parts.path)}
    if parts.scheme in {"smtp", "smtps"} and parts.hostname:
        secure = parts.scheme == "smtps"
        return {
            "EMAIL_BACKEND": f"{BACKENDS}.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": parts.port or (465 if secure else 587),
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_SSL": secure,
            "EMAIL_USE_TLS": not secure and parts.query != "tls=0",
            "EMAIL_TIMEOUT": 20,
        }
    raise SettingError("TALLYWATT_EMAIL_URL: expected smtp://host:587, smtps://host:465, file:/folder or console:")
