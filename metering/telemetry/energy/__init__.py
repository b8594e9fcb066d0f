"""Whose energy: the joules of every GPU, minute by minute, as tenants', idle, or unattributed by cause. See README.md."""
