"""What endpoints that operators' keys alone may read have in common."""

from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.views import APIView

from metering.api.access import HasScope, KeyAuthentication, credential_of, require_operator
from metering.api.bodies import ExactJsonRenderer
from metering.api.problems import InvalidParameter, problem_handler
from metering.contracts import Scope


class OperatorView(APIView):
    """Key authentication, operators alone, exact JSON, problems for errors."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (HasScope,)
    renderer_classes = (ExactJsonRenderer,)

    def needed(self, method: str | None) -> Scope:
        return Scope.USAGE_READ

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require_operator(credential_of(request))

    def get_exception_handler(self) -> Any:
        return problem_handler


class JsonView(OperatorView):
    """With `format` as a parameter like the others: one that is not json is refused by name."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:  # what REST framework says to a `format` that no renderer has
            raise InvalidParameter("format", "not json") from None
