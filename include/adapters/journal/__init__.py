"""The journal of the online service on this machine's disk: written before each reply, read by everything else.

A folder of segments, each written by one process from its first to its last byte. A process never goes on in a segment
of another, so what one left torn hides nothing. Neither SQLAlchemy nor pandas is imported here.
"""

from include.adapters.journal.last_written import died_here, last_written, writer_of
from include.adapters.journal.later import JournalLater
from include.adapters.journal.reader import Damage, Entry, JournalReader
from include.adapters.journal.segments import Segment, segments
from include.adapters.journal.writer import Journal, JournalUnwritable, SegmentLimits

__all__ = [
    "Damage",
    "Entry",
    "Journal",
    "JournalLater",
    "JournalReader",
    "JournalUnwritable",
    "Segment",
    "SegmentLimits",
    "died_here",
    "last_written",
    "segments",
    "writer_of",
]
