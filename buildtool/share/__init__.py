"""One compiler cache for several machines: objects are sealed when they leave, and opened only when the seal fits.

sccache talks to a relay on the loopback that lives as long as the build. The relay keeps objects in Redis, S3, WebDAV
or a shared folder. Nothing that this room does can fail a build: what is dead, slow or forged is a miss.
"""

from __future__ import annotations

from buildtool.share.depot import Depot, open_depot
from buildtool.share.relay import Relay, Tally
from buildtool.share.seal import seal, unseal
from buildtool.share.settings import Setting, current, forget, keep

__all__ = ["Depot", "Relay", "Setting", "Tally", "current", "forget", "keep", "open_depot", "seal", "unseal"]
