"""paramiko's packets with less of Python around each of them.

Everything that decides is left to paramiko: keys, order, sequence numbers, when to agree on new keys. What is done here
for whole uploads instead of each packet is what RFC 4253 (6) and RFC 5647 (7) say of a packet in AES-GCM.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, xffffffff

PACKET_OVERHEAD_BYTES = 64  # that paramiko leaves free in each packet of a channel
BURST_PACKETS = 4


class Transport(paramiko.Transport):  # type: ignore[misc]
    """Words nothing for a log that nobody keeps, neither its own steps nor what a server calls debugging."""

    def _log(self, *_: Any) -> None:
        pass

    def _parse_debug(self, m: paramiko.Message) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Burst:
    """Data of a channel as several packets in a row; goes the way of a message through paramiko."""

    channel: int
    pieces: Sequence[memoryview]


# Named as its parent, so that both mean the same by names with two underscores.
class Packetizer(paramiko.Packetizer):  # type: ignore[misc]
    """Sends a burst in one piece, and stops the clock of the handshake once: paramiko does so with every packet."""

    # Of paramiko's Packetizer, which types nothing.
    __iv_out: bytes
    __sequence_number_out: int
    _is_stopped = False

    def complete_handshake(self) -> None:
        if not self._is_stopped:
            super().complete_handshake()
            self._is_stopped = True

    def send_message(self, data: Any) -> None:
        if not isinstance(data, Burst):
            super().send_message(data)
        elif self.__aead_out and self.__compress_engine_out is None:
            self._send_sealed(data)
        else:
            for piece in data.pieces:
                super().send_message(paramiko.Message(_channel_data(data.channel, piece) + piece))

    def _send_sealed(self, burst: Burst) -> None:
        """As paramiko seals a packet; a rekey is asked for by the next message that is not of a burst."""
        with self.__write_lock:
            packets = []
            for piece in burst.pieces:
                head = _channel_data(burst.channel, piece)
                # At least four bytes, up to whole blocks; the length of the packet does not count under AES-GCM.
                fill = 3 + self.__block_size_out - (len(head) + len(piece) + 4) % self.__block_size_out
                size = struct.pack(">I", 1 + len(head) + len(piece) + fill)
                plain = b"".join((bytes((fill,)), head, piece, os.urandom(fill)))
                packets += [size, self.__block_engine_out.encrypt(self.__iv_out, plain, size)]
                self.__iv_out = self._inc_iv_counter(self.__iv_out)
                self.__sequence_number_out = (self.__sequence_number_out + 1) & xffffffff
            out = b"".join(packets)
            self.write_all(memoryview(out))
            self.__sent_bytes += len(out)
            self.__sent_packets += len(burst.pieces)


def _channel_data(channel: int, piece: memoryview) -> bytes:
    return struct.pack(">BII", MSG_CHANNEL_DATA, channel, len(piece))


def send_burst(channel: paramiko.Channel, data: memoryview) -> int:
    """Sends as `Channel.send` does, but several packets where the other side's window allows, and says how much.

    0 at the end of the channel. Raises TimeoutError when the window stays closed for the channel's timeout, OSError.
    """
    # What paramiko puts into one packet.
    most = max(1, int(channel.out_max_packet_size) - PACKET_OVERHEAD_BYTES)
    with channel.lock:
        if channel.closed:
            raise OSError("the channel is closed")
        # Waits until there is room, for one packet at most.
        room: int = channel._wait_for_send_window(len(data))
        more = min(len(data), BURST_PACKETS * most) - room if room == most else 0
        more = min(more, int(channel.out_window_size))
        channel.out_window_size -= more
    if size := room + more:
        pieces = [data[start : min(start + most, size)] for start in range(0, size, most)]
        # Without the channel's lock, as in paramiko: a rekey would wait for it forever.
        channel.get_transport()._send_user_message(Burst(channel.remote_chanid, pieces))
    return size


class BoundedAnswer(threading.Event):
    """A channel's event for the answer to a request, for which paramiko waits without limit: then it is closed."""

    def __init__(self, channel: paramiko.Channel, timeout_s: float) -> None:
        super().__init__()
        self._channel = channel
        self._timeout_s = timeout_s

    def wait(self, timeout: float | None = None) -> bool:
        if not super().wait(self._timeout_s if timeout is None else timeout) and timeout is None:
            self._channel.close()
        return self.is_set()
