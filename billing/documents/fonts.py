"""The fonts of the documents: Fira Sans, and Noto for what it lacks. All under the SIL Open Font License, from wheels; typst embeds
what it uses into each file. Fonts of the machine are left out, so that the same invoice looks the same everywhere."""

from functools import cache
from importlib.resources import files

import typst

FOLDERS = (("fontpkg_fira_sans", "files"), ("manimgx_fonts", ""), ("noto_cjk_sans_otc", ""))
LATIN = "Fira Sans"
# One for each script that Fira Sans lacks, as manimgx-fonts brings them.
SCRIPTS = (
    "Arabic",
    "Hebrew",
    "Armenian",
    "Georgian",
    "Ethiopic",
    "Devanagari",
    "Bengali",
    "Gujarati",
    "Gurmukhi",
    "Kannada",
    "Malayalam",
    "Oriya",
    "Sinhala",
    "Tamil",
    "Telugu",
    "Thai",
    "Lao",
    "Khmer",
    "Myanmar",
)
# The same Han character is drawn in a different way in each.
CJK_BY_COUNTRY = {"JP": "JP", "KR": "KR", "TW": "TC", "HK": "HK", "MO": "HK"}


@cache
def fonts() -> typst.Fonts:
    """Read once per process: it takes 30 ms."""
    folders = [str(files(package).joinpath(folder) if folder else files(package)) for package, folder in FOLDERS]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders)


def families(country: str) -> list[str]:
    """In the order in which a character is looked for. `country`: the buyer's, which decides how Han characters look."""
    cjk = f"Noto Sans CJK {CJK_BY_COUNTRY.get(country, 'SC')}"
    return [LATIN, *(f"Noto Sans {script}" for script in SCRIPTS), cjk, "Noto Sans", "Noto Sans Symbols", "Noto Emoji"]
