"""What an application carries: typed keys instead of globals."""

from __future__ import annotations

from aiohttp import web

from ai_memory.memory.memory import Memory
from ai_memory.server.browsers import Browsers
from ai_memory.server.users import Bearers, Users
from ai_memory.server.web.addresses import Addresses
from ai_memory.server.worker import IntakeQueue, PacketQueue, Worker

MEMORY = web.AppKey("memory", Memory)
QUEUE = web.AppKey("queue", IntakeQueue)
PACKETS = web.AppKey("packets", PacketQueue)
WORKER = web.AppKey("worker", Worker)
TOKEN = web.AppKey("token", str)
HOSTS = web.AppKey("hosts", frozenset)
BIND = web.AppKey("bind", str)
USERS = web.AppKey("users", Users)
BROWSERS = web.AppKey("browsers", Browsers)
BEARERS = web.AppKey("bearers", Bearers)
#: The path below which everything is served, "" for the root.
BASE = web.AppKey("base", str)
#: Where a person lands who signed in and wanted nothing else.
HOME = web.AppKey("home", str)
#: The folder of a front end of one's own, "" for the wiki that comes along.
UI = web.AppKey("ui", str)
#: The origins whose pages may ask the API.
ORIGINS = web.AppKey("origins", frozenset)
#: Where what people look at is.
ADDRESSES = web.AppKey("addresses", Addresses)
#: The address under which others reach the server, "" where nobody said one.
EXTERNAL = web.AppKey("external", str)
#: Whether a browser of this machine counts as who runs the server without signing in, as all other doors do.
TRUSTING = web.AppKey("trusting", bool)
