"""Price books: named sets of prices, each changed by publishing a version. `list` is everybody's; a contract may name another."""

from billing.pricebook.books import (
    LIST,
    BookInfo,
    Books,
    UnknownVersion,
    VersionInfo,
    all_books,
    books_of,
    current_version,
    current_versions,
    row_of_rule,
    rules,
    sheet,
    sheets,
    version_info,
    versions_of,
)
from billing.pricebook.changes import PriceSet, add_price, latest_by_key, new_version, publish, set_price
from billing.pricebook.files import as_csv, moment
from billing.pricebook.files import read as read_file
from billing.pricebook.history import PriceChange, PriceInfo, courses, differences, in_force
from billing.pricebook.remarks import remarks
from billing.pricebook.rows import PriceRefused, PriceRow, all_checked

__all__ = [
    "LIST",
    "BookInfo",
    "Books",
    "PriceChange",
    "PriceInfo",
    "PriceRefused",
    "PriceRow",
    "PriceSet",
    "UnknownVersion",
    "VersionInfo",
    "add_price",
    "all_books",
    "all_checked",
    "as_csv",
    "books_of",
    "courses",
    "current_version",
    "current_versions",
    "differences",
    "in_force",
    "latest_by_key",
    "moment",
    "new_version",
    "publish",
    "read_file",
    "remarks",
    "row_of_rule",
    "rules",
    "set_price",
    "sheet",
    "sheets",
    "version_info",
    "versions_of",
]
