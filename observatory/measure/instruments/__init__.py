"""What can be measured; one instrument a file, named by class path."""

from observatory.measure.instruments.contrast import ContrastLocalizer as ContrastLocalizer
