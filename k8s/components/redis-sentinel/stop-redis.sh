#!/bin/sh
# Before a pod leaves: where it is the primary, another takes over while it still serves, which is a pause of a second.
role() { sh "$CONFIG/ask.sh" --raw -h "${SELF}" -p "$REDIS_PORT" role | head -n 1; }
[ "$(role)" = master ] || exit 0
for peer in $PEERS; do
  # Not this pod's own sentinel, which leaves as well.
  [ "$peer" != "$SELF" ] || continue
  [ "$(timeout 2 sh "$CONFIG/ask.sh" --raw -h "$peer" -p "$SENTINEL_PORT" sentinel failover "$SERVICE")" != OK ] || break
done
for _ in $(seq 20); do
  [ "$(role)" = master ] || exit 0
  sleep 1
done
