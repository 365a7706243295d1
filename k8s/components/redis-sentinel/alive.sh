#!/bin/sh
# Whether this Redis lives, and does not wait for a server that the sentinels no longer name: a replica of which they had
# not heard before a failover is told by nobody whom to follow. Started again, it asks.
set -eu
sh "$CONFIG/ask.sh" -h "${PROBED:-127.0.0.1}" -p "$REDIS_PORT" ping | grep -qE 'PONG|LOADING|MASTERDOWN'
told=$(sh "$CONFIG/ask.sh" -h "${PROBED:-127.0.0.1}" -p "$REDIS_PORT" info replication | tr -d '\r')
case "$told" in *master_link_status:down*) ;; *) exit 0 ;; esac
primary=$(sh "$CONFIG/primary.sh")
[ -z "$primary" ] || [ "$primary" = "$(echo "$told" | sed -n 's/^master_host://p')" ]
