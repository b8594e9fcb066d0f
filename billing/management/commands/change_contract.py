"""`manage.py change_contract NUMBER --on 2026-10-15 --plan Scale | --pause | --resume | --end`"""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from billing import agreements
from billing.agreements import ContractInfo, ContractRefused
from billing.contract_terms import contract
from billing.management.contract_options import add_terms, day, terms_of
from metering.public import StackCommand


class Command(StackCommand):
    help = "Change a contract from a day on, pause, resume or end it; the number of the new revision is printed. What is not named stays."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("number")
        parser.add_argument(
            "--on",
            required=True,
            type=day,
            metavar="DATE",
            help="from its local midnight on; the first day without an invoice or later",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--pause", action="store_true", help="bill usage, but no fees and no commitment")
        what.add_argument("--resume", action="store_true", help="as agreed again")
        what.add_argument("--end", action="store_true", help="the first day that is not in the contract")
        add_terms(parser)

    def run(self, **options: Any) -> str | None:
        try:
            return str(_changed(options).latest)
        except ContractRefused as error:
            raise CommandError(str(error)) from error


def _changed(options: dict[str, Any]) -> ContractInfo:
    number, on, note = options["number"], options["on"], options["note"]
    for name, act in (("pause", agreements.pause), ("resume", agreements.resume), ("end", agreements.end)):
        if options[name]:
            return act(number, on=on, actor="command", note=note)
    found = contract(number)
    held = found.holding_on(on) if found else None
    if held is None:
        raise CommandError(f"there is no contract {number!r} that holds on {on}")
    terms = terms_of(options, held.terms)
    return agreements.change_contract(number, effective_on=on, terms=terms, actor="command", note=note)
