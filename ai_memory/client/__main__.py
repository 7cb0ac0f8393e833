"""Where the hook stubs enter. Tiny, because a script file is compiled again at each start."""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(_folder))

from client import hook  # type: ignore[import-not-found] # noqa: E402 - found through the line above, staged or in a checkout

hook.main(sys.argv[1:])
