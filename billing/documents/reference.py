"""Reference data of countries: their names (ISO 3166, through pycountry), and the letters of their VAT identifiers."""

import pycountry

# Countries whose VAT identifiers begin with letters other than their code.
VAT_PREFIXES = {"GR": ("EL",), "GB": ("GB", "XI")}


def country_name(code: str) -> str:
    """'DE' -> 'Germany'. A code that is not one stands as it is."""
    found = pycountry.countries.get(alpha_2=code) if code else None
    return str(getattr(found, "common_name", found.name)) if found else code


def is_country(code: str) -> bool:
    return bool(code) and pycountry.countries.get(alpha_2=code) is not None
