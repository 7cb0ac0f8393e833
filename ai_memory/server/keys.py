"""What an application carries: typed keys instead of globals."""

from __future__ import annotations

from aiohttp import web

from ai_memory.memory.memory import Memory
from ai_memory.server.users import Users
from ai_memory.server.worker import IntakeQueue, Worker

MEMORY = web.AppKey("memory", Memory)
QUEUE = web.AppKey("queue", IntakeQueue)
WORKER = web.AppKey("worker", Worker)
TOKEN = web.AppKey("token", str)
HOSTS = web.AppKey("hosts", frozenset)
BIND = web.AppKey("bind", str)
USERS = web.AppKey("users", Users)
