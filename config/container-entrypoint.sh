#!/bin/sh
# The container's entry point: pulsora-bridge as the user 10001.
# Platforms mount a new volume as root's. Started as root, this gives /data to that user and drops all privileges;
# started as any other user, as on Kubernetes, it changes nothing.
set -eu
if [ "$(id -u)" = 0 ]; then
    if [ "$(stat -c %u /data)" != 10001 ]; then
        chown -R 10001:10001 /data
    fi
    exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs -- pulsora-bridge "$@"
fi
exec pulsora-bridge "$@"
