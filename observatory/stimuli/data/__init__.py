"""The built-in battery, one file a domain."""
