"""Callbacks for a running training loop; imported as observatory.callbacks."""
