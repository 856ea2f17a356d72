"""How often one address may ask for what costs us something and needs no (good) credential.

A count belongs to an address and a window of time, and is stored; the window's own end forgets it. The limit is
wide enough for a campus behind one address: it is there to bound what a script can make us store and pay for.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(minutes=10)

LOGIN, DEVICE, BEARER = "login", "device", "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One count: its key, and when it is over."""

    key: str
    ends: datetime


def window(kind: str, address: str, now: datetime) -> Window:
    """The window that a request of this kind, from this address, falls in."""
    length = int(WINDOW.total_seconds())
    ends = (int(now.timestamp()) // length + 1) * length
    return Window(key=f"{kind}#{network(address)}#{ends}", ends=datetime.fromtimestamp(ends, UTC))


def network(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, since whoever has one has all that share them."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(read, ipaddress.IPv6Address):
        if read.ipv4_mapped is not None:
            return str(read.ipv4_mapped)
        return str(ipaddress.ip_network((int(read) >> 64 << 64, 64)))
    return str(read)


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds to wait, at least one."""
    return max(1, -int((now - moment).total_seconds() // 1))
