"""Whether an address or a name is that of this machine to itself."""

from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_loopback(host: str) -> bool:
    """Whether an address is that of this machine to itself."""
    return host in _LOOPBACK


def name_of(host: str) -> str:
    """The name or address in a `Host` header, without the port.

    Raises:
        ValueError: The header is malformed.
    """
    return urlsplit(f"//{host}").hostname or ""
