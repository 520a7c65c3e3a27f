"""Watch specialised regions appear inside a language model while it trains."""
