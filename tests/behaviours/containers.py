"""Containers that lead to their host (ATT&CK T1611, T1610): the files that engines keep of them."""

from __future__ import annotations

import json
from typing import Any

from tests.behaviours.behaviour import Behaviour, Process


def docker(number: int, name: str, image: str, command: list[str], host: dict[str, Any]) -> dict[str, str]:
    """The two files that Docker keeps of a container, by path."""
    identifier = f"{number:02x}" * 32
    place = f"/var/lib/docker/containers/{identifier}"
    binds = [bind.split(":") for bind in host.get("Binds", [])]
    points = {to: {"Source": source, "Destination": to, "RW": True, "Type": "bind"} for source, to in binds}
    config = {
        "ID": identifier, "Name": f"/{name}", "State": {"Running": True, "Pid": 40000 + number}, "Image": "sha256:" + "ef" * 32,
        "Path": command[0], "Args": command[1:],
        "Config": {"Image": image, "Cmd": command, "Env": []}, "MountPoints": points,
    }  # fmt: skip
    return {f"{place}/config.v2.json": json.dumps(config), f"{place}/hostconfig.json": json.dumps(host)}


BEHAVIOURS = (
    Behaviour(
        name="container_with_whole_host_mounted",
        techniques=("T1611", "T1610"),
        does="A container has the host's root directory mounted for writing.",
        marks=("whole-host",),
        raises=("container_host_root_writable",),
        files=docker(0x11, "whole-host", "alpine:3", ["sleep", "9999"], {"Privileged": False, "Binds": ["/:/host"]}),
    ),
    Behaviour(
        name="container_privileged_among_host_processes",
        techniques=("T1611", "T1610"),
        does="A privileged container shares the host's processes.",
        marks=("all-powers",),
        raises=("container_privileged_with_host_processes",),
        files=docker(0x12, "all-powers", "alpine:3", ["sleep", "9999"], {"Privileged": True, "PidMode": "host", "Binds": []}),
    ),
    Behaviour(
        name="container_enters_first_process",
        techniques=("T1611", "T1610"),
        does="A container's command enters the host by way of its first process.",
        marks=("enter-host",),
        raises=("container_escape_command",),
        files=docker(0x13, "enter-host", "alpine:3", ["nsenter", "-t", "1", "-m", "-u", "sh"], {"Privileged": False, "Binds": []}),
    ),
    Behaviour(
        name="container_writes_cron_of_host",
        techniques=("T1611", "T1053.003"),
        does="A container has the host's cron directory mounted.",
        marks=("cron-writer",),
        raises=("container_persistence_mount",),
        files=docker(0x14, "cron-writer", "alpine:3", ["sleep", "9999"], {"Privileged": False, "Binds": ["/etc/cron.d:/cron"]}),
    ),
    Behaviour(
        name="container_with_memory_of_host",
        techniques=("T1611",),
        does="A container has the device of the host's memory.",
        marks=("mem-reader",),
        raises=("container_memory_device",),
        files=docker(
            0x15, "mem-reader", "alpine:3", ["sleep", "9999"],
            {"Privileged": False, "Binds": [], "Devices": [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/mem", "CgroupPermissions": "rwm"}]},
        ),
    ),
    Behaviour(
        name="container_mines",
        techniques=("T1496.001", "T1610"),
        does="A container runs the image of a miner.",
        marks=("web-cache",),
        raises=("container_miner_image",),
        files=docker(0x16, "web-cache", "kannix/monero-miner:latest", ["-a", "rx"], {"Privileged": False, "Binds": []}),
    ),
    Behaviour(
        name="container_with_disk_of_host",
        techniques=("T1611",),
        does="A container has the device of the host's disk.",
        marks=("disk-reader",),
        raises=("container_disk_device",),
        files=docker(
            0x17, "disk-reader", "alpine:3", ["sleep", "9999"],
            {"Privileged": False, "Binds": [], "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
        ),
    ),
    Behaviour(
        name="container_engine_open_to_everybody",
        techniques=("T1611", "T1222.002"),
        does="Every account may command the container engine.",
        marks=("/run/docker.sock",),
        raises=("file_container_socket_open_to_everybody",),
        processes=(Process("/usr/lib/shown/engine", ("engine",), ("listen unix /run/docker.sock",)),),
        afterwards="chmod 666 /run/docker.sock",
    ),
)  # fmt: skip
