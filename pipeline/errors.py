"""Every error that the pipeline raises on purpose.

::

    RaftlineError                 exit code 1: a fault of raftline
    ├── UserError                 exit code 2: the user can fix it
    │   ├── ConfigError           a key, value or wiring in the YAML or on the command line
    │   ├── InputError            a source that cannot be opened, read or decoded
    │   ├── OutputError           a file that cannot be written (disk full, no permission)
    │   │   └── OutputInWork      another run writes it
    │   ├── WeightsError          weights that are missing, damaged or for another network
    │   ├── TransportError        Redis is unreachable, refuses, or is out of memory
    │   │   ├── TransportLost     the connection broke; the operation may be repeated
    │   │   ├── GroupLost         the server lost its data (a restart without persistence)
    │   │   ├── EntriesAstray     entries that a worker read which had lost the source; they are pending
    │   │   ├── ServerEnded       the private server of a run died
    │   │   └── RunTaken          another run took this pipeline's name while this one stood still
    │   └── PluginError           a stage that cannot be imported or opened, or that broke its contract
    ├── DecodeError               a stream entry that is not a message of this format version
    ├── StalePayloadError         pixels that were recycled before they were read
    ├── StateLost                 a stage's kept state that is gone or damaged; it begins anew
    ├── LeaseLost                 another worker owns the source now; nothing was published
    ├── StopOverdue               SIGTERM, and something that did not end in time
    └── WorkerFailed              a worker that kept dying

A `UserError` ends the run with its message. Any other exception counts as a failed attempt at the entry that was
being processed.
"""

from __future__ import annotations


class RaftlineError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UserError(RaftlineError):
    """The user can fix it; the message says how."""

    exit_code = 2


class ConfigError(UserError):
    """A key, a value or the wiring of a configuration is wrong."""


class InputError(UserError):
    """A source cannot be opened, read or decoded. Ends this source only."""


class OutputError(UserError):
    """An output cannot be written."""


class OutputInWork(OutputError):
    """Another run writes this output."""


class WeightsError(UserError):
    """Weights are missing, damaged, or for another network."""


class TransportError(UserError):
    """Redis is unreachable, refuses, or is out of memory."""


class TransportLost(TransportError):
    """The connection broke during an operation. Every operation of a transport may be repeated."""


class GroupLost(TransportError):
    """The server lost the streams: it was restarted without persistence."""


class EntriesAstray(TransportError):
    """Entries went to a worker that had lost the source and did not know it yet: they are pending, not lost."""


class ServerEnded(TransportError):
    """The private server of a run died, and its data with it. The run may be repeated."""


class RunTaken(TransportError):
    """Another run has the pipeline's name, and with it the data on the server."""


class PluginError(UserError):
    """A stage cannot be imported or opened, or broke its contract."""


class DecodeError(RaftlineError):
    """A stream entry is not a message of this format version."""


class StalePayloadError(RaftlineError):
    """A slot was recycled before it was read. Happens only with the policy ``live``."""


class StateLost(RaftlineError):
    """A stage's kept state is gone or damaged. The stage goes on from its snapshot alone, and that is said."""


class LeaseLost(RaftlineError):
    """The lease on a source belongs to another worker; the whole commit was refused."""


class WorkerFailed(RaftlineError):
    """A worker died more often than the restart limit allows."""


class StopOverdue(RaftlineError):
    """After SIGTERM not everything ended in time. Raised in the main thread, wherever it waits."""
