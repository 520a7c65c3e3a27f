"""A small pretraining set-up with a known ground truth; imported as observatory.train."""
