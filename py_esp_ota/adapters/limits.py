"""How much one client may ask of a broker, the same for every broker."""

from __future__ import annotations

PAYLOAD_LIMIT = (128 << 10) + 128
"""Bytes of one message: RainMaker's largest is a block of file delivery, 128 KB (``MQTT_OTA_MAX_BYTES_PER_REQUEST``).

What stands around the block in its message comes on top; a node's config has no other bound.
"""

PACKET_LIMIT = PAYLOAD_LIMIT + (1 << 10)
"""Bytes of one MQTT packet: the payload, a topic of at most 150 bytes (``MQTT_TOPIC_BUFFER_SIZE``), and headers."""

QUEUE_LIMIT = 200_000
"""Messages that wait for one client; what comes then is dropped. A fleet of 20,000 nodes says about ten each."""

QUEUE_BYTES = 256 << 20
"""Bytes that wait for one client."""

KEPT_LIMIT = 1_000_000
"""Messages that Mosquitto keeps for one client, also for a cloud that is away or cannot store.

Mosquitto acknowledges what it then drops, so the bound is far away: five minutes of 3,000 a second, in half a GiB.
"""

KEPT_BYTES = 256 << 20
"""Bytes of their payloads: 2,048 of the largest messages, or a million reports of the usual 150 bytes."""

INFLIGHT_LIMIT = 4096
"""Messages on their way to one client without its acknowledgement: more than a cloud takes in one batch."""

CONNECTION_LIMIT = 20_000
"""Clients at a time."""

CONNECT_TIME = 10.0
"""Seconds between the first byte that could come and the end of CONNECT."""

KEEP_ALIVE_LIMIT = 1200
"""Seconds: the longest keep-alive, as at AWS IoT; after one and a half of them without a packet a client is gone."""

SUBSCRIPTION_LIMIT = 50
"""Topic filters of one connection, as at AWS IoT; a RainMaker node has fewer than ten."""
