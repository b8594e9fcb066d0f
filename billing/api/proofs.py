"""The proof that an invoice bills one request, for the script docs/check_proof.py or one's own."""

from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing import proofs
from billing.api import parameters
from billing.api.views import FinanceView
from billing.proof_document import document
from billing.proofs import DigestDiffers, NotBilled
from billing.stored import UnknownInvoice
from metering.contracts import Scope
from metering.public import SeveralRequests, instant
from metering.public_api import InvalidParameter, credential_of

LONGEST = 128  # of an id or a source, as ingest takes them


class StepShape(serializers.Serializer[Any]):
    side = serializers.ChoiceField(["left", "right"], help_text="where `hash` stands beside what was computed so far")
    hash = serializers.CharField()


class ProofShape(serializers.Serializer[Any]):
    """docs/proof.md says how it is checked. Hashes are SHA-256 in hex."""

    format = serializers.CharField(help_text=proofs.FORMAT)
    invoice = serializers.CharField()
    digest = serializers.CharField(help_text="the root that the invoice carries")
    requests = serializers.IntegerField(help_text="so many requests are under the root")
    request = serializers.CharField(help_text="the request's canonical text")
    siblings = serializers.ListField(child=serializers.CharField(), help_text="the other leaves of its bucket")
    path = StepShape(many=True)
    tops = serializers.ListField(child=serializers.CharField())
    period_start = serializers.DateTimeField(help_text="of the part of the invoice that the request is in")
    period_end = serializers.DateTimeField()
    arrived_from = serializers.DateTimeField(allow_null=True)
    arrived_before = serializers.DateTimeField()
    corrects = serializers.CharField(allow_null=True, help_text="the invoice that the request came too late for")


class NoProof(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT


class ProofView(FinanceView):
    """The proof that one request is billed by this invoice."""

    required_scope = Scope.FINANCE_READ

    def get_renderers(self) -> list[BaseRenderer]:
        return [JSONRenderer()]

    @extend_schema(
        operation_id="invoice_proof",
        parameters=[
            OpenApiParameter("request_id", str, required=True),
            OpenApiParameter("source", str, description="default: none"),
            OpenApiParameter("time", str, description="of the request, where an id was used for several; RFC 3339"),
        ],
        responses=ProofShape,
    )
    def get(self, request: Request, number: str) -> Response:
        query = request.query_params
        parameters.refuse_unknown(query, ("request_id", "source", "time", "format"))
        request_id = _named(query, "request_id")
        if not request_id:
            raise InvalidParameter("request_id", "required")
        try:
            found = proofs.proof(
                number,
                request_id,
                _named(query, "source"),
                tenant=credential_of(request).tenant,
                at=parameters.moment_of(query, "time"),
            )
        except (UnknownInvoice, NotBilled) as error:
            raise exceptions.NotFound(str(error)) from error
        except SeveralRequests as several:
            times = ", ".join(map(instant, several.times))
            raise NoProof(f"{several}, more than 24 hours apart: name one by `time`: {times}") from several
        except DigestDiffers as error:
            raise NoProof(str(error)) from error
        return Response(document(found))


def _named(query: QueryDict, name: str) -> str:
    """'' if it is not given."""
    text = parameters.single(query, name) or ""
    if len(text) > LONGEST:
        raise InvalidParameter(name, f"longer than {LONGEST} characters")
    return text
