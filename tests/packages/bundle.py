#!/usr/bin/env python3
"""Writes what an OCI runtime needs to run an image as a service of compose.yaml would be run.

    bundle.py COMPOSE SERVICE ROOT IMAGE_CONFIG BUNDLE [NAME=VALUE…]

ROOT is the image's mounted root directory, IMAGE_CONFIG what `buildah inspect --type image` says of it. Environment, secrets, read_only, cap_drop,
security_opt and ulimits are compose.yaml's; NAME=VALUE adds to the environment. The network is the caller's own, in which the names of
the other services lead to 127.0.0.1. What is asked for and not understood is an error, so that nothing is left out in silence.
"""

import json
import os
import re
import sys
from pathlib import Path

import yaml

UNDERSTOOD = {
    "build", "image", "environment", "secrets", "ports", "depends_on", "restart", "stop_grace_period", "read_only",
    "cap_drop", "security_opt", "ulimits",
}
# What needs a control group, which script/container-trial does without.
LEFT_OUT = {"mem_limit"}


def substitute(text: str) -> str:
    """Compose's ${NAME}, ${NAME:-default} and ${NAME:?message}."""

    def value(match: re.Match) -> str:
        name, kind, word = match.groups()
        found = os.environ.get(name)
        if found:
            return found
        if kind == ":?":
            sys.exit(f"{name}: {word}")
        return word or ""

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, text)


def main() -> None:
    compose_file, name, root, image_config, bundle, *extra = sys.argv[1:]
    compose = yaml.safe_load(Path(compose_file).read_text())
    service = compose["services"][name]
    image = json.loads(Path(image_config).read_text())["OCIv1"]["config"]
    unknown = service.keys() - UNDERSTOOD - LEFT_OUT
    if unknown:
        sys.exit(f"{compose_file}: {name} has {', '.join(sorted(unknown))}, which this does not understand")
    if service["cap_drop"] != ["ALL"] or service["security_opt"] != ["no-new-privileges:true"] or not service["read_only"]:
        sys.exit(f"{compose_file}: {name} may do more than it has to")

    variables = dict(pair.split("=", 1) for pair in image.get("Env", []))
    variables |= {key: substitute(str(value)) for key, value in service["environment"].items()}
    variables |= dict(pair.split("=", 1) for pair in extra)
    user, _, group = image["User"].partition(":")

    hosts = Path(bundle, "hosts")
    hosts.write_text("127.0.0.1 localhost " + " ".join(compose["services"]) + "\n")
    files = {"/etc/hosts": hosts}
    for secret in service["secrets"]:
        files[f"/run/secrets/{secret}"] = Path(compose_file).parent / compose["secrets"][secret]["file"]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755", "size=64k"]},
    ]
    for inside, outside in files.items():
        mounts.append({
            "destination": inside, "type": "bind", "source": str(outside.resolve()), "options": ["bind", "ro"],
        })
    nothing = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group or user)},
            "args": [*image.get("Entrypoint", []), *(image.get("Cmd") or [])],
            "env": [f"{key}={value}" for key, value in variables.items()],
            "cwd": image.get("WorkingDir") or "/",
            "capabilities": nothing,
            "noNewPrivileges": True,
            "rlimits": [
                {"type": f"RLIMIT_{kind.upper()}", "soft": limit, "hard": limit} for kind, limit in service["ulimits"].items()
            ],
        },
        "root": {"path": str(Path(root).resolve()), "readonly": True},
        "hostname": name,
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }
    Path(bundle, "config.json").write_text(json.dumps(config, indent=2))


main()
