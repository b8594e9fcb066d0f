"""A real server over the test databases, and Chromium looking at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from metering.contracts import TenantInfo
from metering.models import Membership, Tenant
from metering.public import create_tenant

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PASSWORD = "browser-tests-only"
ROOT = Path(__file__).resolve().parents[2]
expect.set_options(timeout=15_000)  # a machine that does other things as well


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))
            if CHROMIUM is None and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture(scope="session")
def server(django_db_setup: None, clickhouse_schema: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The web application as `manage.py up` runs it, on the databases of this test run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("web") / "web.log").open("w")
    words = [sys.executable, "-m", "granian", "--interface", "asginl", "--port", str(port), "config.asgi:application"]
    process = subprocess.Popen(
        words, cwd=ROOT, env=os.environ | {"DATABASE_URL": _test_database()}, stdout=log, stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(url, process, Path(log.name))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def _test_database() -> str:
    found = connection.settings_dict
    login = f"{quote(str(found['USER']))}:{quote(str(found['PASSWORD']))}"
    return f"postgresql://{login}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the web application did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one module at a time: it keeps an event loop running in this thread, which other tests would trip over.

    Django takes such a thread for an asynchronous caller and refuses its ORM, unless told not to.
    """
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as found:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield found


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    yield browser
    browser.close()


@dataclass
class Watched:
    """A page, with what it must not do: errors on the console, requests to another host."""

    page: Page
    server: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and f"{parts.scheme}://{parts.netloc}" != self.server:
            self.foreign.append(url)

    def lose_the_stream(self) -> None:
        """As when the connection drops, or the stream ends after its five minutes: the page asks for a new one."""
        self.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
        self.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")

    def open(self, path: str) -> Page:
        self.page.goto(self.server + path)
        return self.page

    def log_in(self, name: str) -> None:
        self.open("/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("text=Log in >> nth=-1")
        self.page.wait_for_url(lambda url: "/login/" not in url)


OpenBrowser = Callable[..., Watched]


@pytest.fixture
def browse(server: str, chromium: Browser, transactional_db: None) -> Iterator[OpenBrowser]:
    """`browse(role, tenant_key, width=1440, scheme="light")`: a page of somebody who has logged in."""
    contexts = []

    def opened(role: str = "", tenant: str | None = None, *, width: int = 1440, scheme: str = "light") -> Watched:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(15_000)
        watched = Watched(context.new_page(), server)
        watched.watch()
        if role:
            user = User.objects.create_user(f"b-{uuid.uuid4().hex[:12]}", password=PASSWORD)
            row = Tenant.objects.get(key=tenant) if tenant else None
            Membership.objects.create(user=user, role=role, tenant=row)
            watched.log_in(user.username)
        return watched

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def tenant(tenant_key: str, clickhouse: None, transactional_db: None) -> TenantInfo:
    return create_tenant(tenant_key)
