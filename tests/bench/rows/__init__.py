"""One function for each row of the table of measures: takes a `Setting`, answers an `Outcome`."""

from .api import api
from .copies import large, large_tls, small
from .delay import delay
from .directory import directory
from .fleet import fleet
from .from_s3 import from_s3
from .huge import huge
from .memory import memory
from .rate import rate
from .rescan import rescan
from .resume import resume
from .store import store
from .unchanged import unchanged
from .versions import versions

ROWS = {
    "large": large,
    "large-tls": large_tls,
    "small": small,
    "unchanged": unchanged,
    "huge": huge,
    "memory": memory,
    "rescan": rescan,
    "delay": delay,
    "versions": versions,
    "from-s3": from_s3,
    "directory": directory,
    "rate": rate,
    "resume": resume,
    "store": store,
    "api": api,
    "fleet": fleet,
}
