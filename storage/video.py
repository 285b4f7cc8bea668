"""Which instances are videos: all their frames are one stream (PS3.5 8.2.5 and following)."""

from index.records import StoredInstance
from storage import syntaxes


def is_video(instance: StoredInstance) -> bool:
    """True when all frames of the instance are one stream."""
    syntax = syntaxes.lookup(instance.transfer_syntax_uid)
    return syntax is not None and syntax.video and instance.layout.pixels is not None
