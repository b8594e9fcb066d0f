"""A stand-in for Stripe: a small HTTP server that keeps state and is stricter than Stripe about every request.

Written from Stripe's public documentation of its API; what it answers has the fields that our gateway reads, in Stripe's shapes.
"""

from tests.billing.stripe.standin.server import StandIn

__all__ = ["StandIn"]
