"""Torrents for the comparison: `make` writes one, `peer` runs libtorrent on one.

make OUT PAYLOAD URL    a torrent of the file or folder PAYLOAD announced at URL; needs no library
peer TORRENT DIR ROLE   ROLE is seed, super or fetch; prints `gate`, waits for a line on standard
                        input, joins, prints `done` when everything is there, stays until killed
"""

import hashlib
import os
import sys

PIECE = 256 << 10


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(k) + bencode(v) for k, v in sorted(value.items())) + b"e"


def make(out, payload, url):
    info = {"name": os.path.basename(payload), "piece length": PIECE}
    paths = [payload]
    if os.path.isdir(payload):
        paths = sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(payload) for name in names
        )
        info["files"] = [
            {"length": os.path.getsize(p), "path": os.path.relpath(p, payload).split(os.sep)}
            for p in paths
        ]
    else:
        info["length"] = os.path.getsize(payload)
    pieces, rest = [], b""
    for path in paths:
        with open(path, "rb") as file:
            while data := file.read(PIECE - len(rest)):
                rest += data
                if len(rest) == PIECE:
                    pieces.append(hashlib.sha1(rest).digest())
                    rest = b""
    if rest:
        pieces.append(hashlib.sha1(rest).digest())
    info["pieces"] = b"".join(pieces)
    with open(out, "wb") as file:
        file.write(bencode({"announce": url, "info": info}))


def peer(torrent, folder, role):
    import libtorrent as lt

    # TCP only, quick to connect and to unchoke, deep buffers. Chosen by reasoning: no other set was compared.
    session = lt.session(
        {
            "listen_interfaces": "0.0.0.0:6881",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_natpmp": False,
            "enable_upnp": False,
            "enable_outgoing_utp": False,
            "enable_incoming_utp": False,
            "connection_speed": 200,
            "torrent_connect_boost": 100,
            "min_reconnect_time": 1,
            "unchoke_interval": 5,
            "optimistic_unchoke_interval": 10,
            "unchoke_slots_limit": 8,
            "send_buffer_watermark": 1 << 20,
            "max_out_request_queue": 1500,
            "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
        }
    )
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(torrent)
    parameters.save_path = folder
    parameters.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if role != "fetch":
        parameters.flags |= lt.torrent_flags.seed_mode
    if role == "super":
        parameters.flags |= lt.torrent_flags.super_seeding
    print("gate", flush=True)
    sys.stdin.readline()
    session.add_torrent(parameters)
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                print("done", flush=True)


if __name__ == "__main__":
    {"make": make, "peer": peer}[sys.argv[1]](*sys.argv[2:])
