#!/bin/sh
# Print the other servers that are there and refuse this pod's password, or whose certificate it does not trust.
set -eu
[ -n "${SECURED:-}" ] || exit 0
for peer in $PEERS; do
  [ "$peer" != "$SELF" ] || continue
  said=$(timeout 2 sh "$CONFIG/ask.sh" -h "$peer" -p "$REDIS_PORT" ping 2>&1) || true
  case "$said" in *NOAUTH* | *WRONGPASS* | *SSL_connect*) printf '%s ' "$peer" ;; esac
done
