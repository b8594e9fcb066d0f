"""Tallywatt's client side. Base dependencies only: no Django here."""

__version__ = "0.1.0"
