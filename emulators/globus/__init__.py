"""Globus Auth and Globus Transfer on one machine, moving real files between directories.

``GlobusEmulator`` is the product: an HTTP server that the unmodified globus-sdk and globus-cli work against.
"""

from emulators.globus.browser import Browser
from emulators.globus.config import Client, Collection, Config, Identity, Permission, Policy, Provider, Settings
from emulators.globus.config_file import load_config
from emulators.globus.emulator import GlobusEmulator
from emulators.globus.pace import Pace

__all__ = [
    "Browser",
    "Client",
    "Collection",
    "Config",
    "GlobusEmulator",
    "Identity",
    "Pace",
    "Permission",
    "Policy",
    "Provider",
    "Settings",
    "load_config",
]
