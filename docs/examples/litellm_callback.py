"""LiteLLM, metered through an outbox on disk: cached and reasoning tokens, failures that are retried, nothing lost in a restart.

In the proxy's config.yaml, with this file beside it (needs `pip install tallywatt`, TALLYWATT_URL and TALLYWATT_KEY):

    litellm_settings:
      callbacks: litellm_callback.meter

The tenant is the team of the virtual key that was used, or else its user. TALLYWATT_KEY must be allowed to write for all of them:
`manage.py create_api_key --operator --scopes ingest`.
"""

import logging
import os
from datetime import datetime
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from tallywatt import Client, TallywattError, from_openai_usage

logger = logging.getLogger("tallywatt.litellm")


class Meter(CustomLogger):  # type: ignore[misc]
    """Records every answer, streamed or not, from the sync and the async interface."""

    def __init__(self) -> None:
        super().__init__()
        url, key = os.environ["TALLYWATT_URL"], os.environ["TALLYWATT_KEY"]
        self.client = Client(url, key, outbox=os.environ.get("TALLYWATT_OUTBOX", "tallywatt-outbox"))

    # LiteLLM calls these by the names of their arguments.
    def log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        usage = getattr(response_obj, "usage", None)
        if usage is None:  # a chunk of a stream: the whole answer follows
            return
        try:
            self._record(kwargs, usage, start_time, end_time)
        except TallywattError:  # LiteLLM would swallow it
            logger.exception("this answer was not metered")

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def _record(self, kwargs: dict[str, Any], usage: Any, began: datetime, ended: datetime) -> None:
        # LiteLLM gives all providers' usage in OpenAI's convention: cached tokens lie inside prompt_tokens.
        metadata = kwargs.get("litellm_params", {}).get("metadata") or {}
        tenant = metadata.get("user_api_key_team_id") or metadata.get("user_api_key_user_id")
        self.client.record(
            id=kwargs["litellm_call_id"],
            time=ended.astimezone(),
            model=kwargs["model"],
            e2e_ms=(ended - began).total_seconds() * 1000,
            stream=bool(kwargs.get("stream")),
            **({"tenant": tenant} if tenant else {}),
            **from_openai_usage(usage),
        )


meter = Meter()
