"""How much demand there will be, what the fleet can take of it, and when that is no longer enough. docs/capacity.md has the method."""
