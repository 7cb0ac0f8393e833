"""`python -m ai_memory`, and the `ai-memory` program."""

from __future__ import annotations

from ai_memory.cli import main

if __name__ == "__main__":
    main()
