"""An imitation of ``journalctl --user -u UNIT`` beside the imitated systemctl: prints what the service printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

unit = sys.argv[sys.argv.index("-u") + 1]
log = Path(os.environ["HOME"]) / "imitated-systemd" / f"{unit}.log"
sys.stdout.write(log.read_text(errors="replace") if log.exists() else "")
