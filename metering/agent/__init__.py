"""The agent of an inference node. It runs from the base dependencies alone: no Django, no Celery, no pyarrow here."""
