"""Where observations go."""

from observatory.record.benchmarks import Benchmarks as Benchmarks
from observatory.record.benchmarks import BenchmarkScore as BenchmarkScore
from observatory.record.console import ConsoleRecorder as ConsoleRecorder
from observatory.record.logbook import Logbook as Logbook
from observatory.record.reader import open_logbook as open_logbook
