"""Every environment variable that the code reads stands in docs/settings.md, and nothing else does."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(
    r"environment\.(?:text|integer|number|flag|words|whole_numbers|signed_numbers|amounts|folder)\(\s*\"([A-Z][A-Z0-9_]+)\""
)


def names_in_code() -> set[str]:
    files = [
        path for package in ("config", "metering", "billing", "dashboard") for path in (ROOT / package).rglob("*.py")
    ]
    return {name for path in files for name in READ.findall(path.read_text())}


def names_in_docs() -> set[str]:
    return set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert names_in_docs() == names_in_code()


def test_the_environment_is_read_in_one_module_only() -> None:
    elsewhere = [
        path.relative_to(ROOT).as_posix()
        for package in ("config", "metering", "billing", "dashboard")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.(?:getenv\(|environ(?:\.get\(|\[\"[A-Z_]+\"\](?! =)))", path.read_text())
    ]
    assert elsewhere == ["config/environment.py"]
