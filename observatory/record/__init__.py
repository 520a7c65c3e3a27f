"""Where observations go."""

from observatory.record.console import ConsoleRecorder as ConsoleRecorder
from observatory.record.logbook import Logbook as Logbook
from observatory.record.reader import open_logbook as open_logbook
