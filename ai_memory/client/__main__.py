"""Where the hook stubs and the bridge enter. Tiny, because a script file is compiled again at each start."""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(_folder))

if sys.argv[1:2] == ["mcp"]:
    from client import bridge  # type: ignore[import-not-found] # found through the line above, staged or in a checkout

    bridge.main(sys.argv[2:])
else:
    from client import hook

    hook.main(sys.argv[1:])
