"""Addresses of this host, for code that was written for the peer."""

from __future__ import annotations

import ipaddress
import socket
import sys

__all__ = ["format_zmq_address", "get_free_port", "get_node_ip_address", "is_ipv6_address"]


def is_ipv6_address(ip: str) -> bool:
    """Tell whether a text is an IPv6 address, with or without brackets."""
    try:
        return ipaddress.ip_address(ip.strip("[]")).version == 6
    except ValueError:
        return False


def format_zmq_address(ip: str, port: int) -> str:
    """Return ``tcp://ip:port``, an IPv6 address in brackets."""
    host = ip.strip("[]")
    return f"tcp://[{host}]:{port}" if is_ipv6_address(host) else f"tcp://{host}:{port}"


def get_node_ip_address() -> str:
    """Return the address under which other hosts reach this one; Ray's where it runs, and without a network 127.0.0.1."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return str(ray.util.get_node_ip_address())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: nothing is sent, the route is looked up
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def get_free_port(ip: str) -> int:
    """Return a TCP port that is free on one of this host's addresses now; another process may take it at any time."""
    family = socket.AF_INET6 if is_ipv6_address(ip) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((ip.strip("[]"), 0))
        return int(probe.getsockname()[1])
