"""The way in for HTTP endpoints of other packages: who calls, and how errors are told. A companion of public.py, apart from it
because workers and commands, which import that one, need no REST framework.
"""

from metering.api.access import KeyAuthentication, credential_of
from metering.api.problems import InvalidParameter, problem_handler
from metering.api.times import moment

__all__ = ["InvalidParameter", "KeyAuthentication", "credential_of", "moment", "problem_handler"]
