"""The Celery task of price previews."""

from celery import shared_task

from billing import price_preview_runs


@shared_task(name=price_preview_runs.TASK)
def price_preview(number: int) -> None:
    """Make the preview of that number, unless another worker does."""
    price_preview_runs.make(number)
