"""How measures are read: values by group, from the same rollups and functions that the pages show."""
