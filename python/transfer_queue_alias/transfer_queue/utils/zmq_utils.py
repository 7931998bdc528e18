"""Where servers are, under the peer's path. Its sockets and messages are not here: requests go through the C# core."""

from transferqueue._network import format_zmq_address, get_free_port, get_node_ip_address, is_ipv6_address
from transferqueue._server_info import ZMQServerInfo, process_zmq_server_info

__all__ = [
    "ZMQServerInfo",
    "format_zmq_address",
    "get_free_port",
    "get_node_ip_address",
    "is_ipv6_address",
    "process_zmq_server_info",
]
