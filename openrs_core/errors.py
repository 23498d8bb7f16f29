"""Every exception of openrs.

OpenRSError
├── UserError            the user can mend it: one line, exit code 2, no traceback
│   ├── RecipeError      a recipe's key or value
│   ├── LearningError    learning goes wrong: another learning rate, or better data
│   └── RunError         a run id, a directory, an address, a model
│       └── FencedError  another learner has taken over the run
├── DecodeError          bytes that are no message; they go to the dead-letter stream
├── WeightsError         weights that are torn, altered or not what they should lead to; the old
│   │                    ones stay in force
│   └── SupersededError      superseded, and no longer in Redis
├── RecordError          text that is no line of a run's record
├── FullError            Redis has no memory left for more work
├── RanksError           another rank of the learner is missing, or cannot be reached
├── StoppedError         told to stop while Redis was away
└── ProtocolError        a process broke the rules of the ring: a bug of ours
"""

import errno


class OpenRSError(Exception):
    """Root of every error raised on purpose."""


class UserError(OpenRSError):
    """Something the user can mend; the message names the field, the value and the remedy."""


class RecipeError(UserError):
    """A recipe has an unknown key, a wrong type or an impossible combination."""


class LearningError(UserError):
    """Steps in a row would have done harm and were skipped."""


class RunError(UserError):
    """A run id, a directory, an address or a model cannot be used as asked."""


class FencedError(RunError):
    """Another learner has taken over the run: this one may write nothing more."""


class DecodeError(OpenRSError):
    """Bytes that cannot be turned into a message."""


class WeightsError(OpenRSError):
    """A layout, a delta or a snapshot that is incomplete, altered or does not match its digest."""


class SupersededError(WeightsError):
    """Chunks that are no longer in Redis: newer ones took their place."""


class RecordError(OpenRSError):
    """Text that is no line of a run's record."""


class FullError(OpenRSError):
    """Redis has reached its `maxmemory`: nothing was written, and nothing was lost."""


class RanksError(OpenRSError):
    """Another rank of the learner has not come, or there is no sound way to it."""


class StoppedError(OpenRSError):
    """The process was told to stop while it waited for Redis."""


class ProtocolError(OpenRSError):
    """The ring's own rules were broken, e.g. a group ended twice."""


def is_disk_full(error: BaseException) -> bool:
    """Was there no room left, on the disk or in the user's share of it?"""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
