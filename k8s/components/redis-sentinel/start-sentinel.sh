#!/bin/sh
# Start a sentinel with what it knew; a new one asks the others who is the primary. Arguments go to redis-server.
set -eu
conf=$DATA/sentinel/sentinel.conf
mkdir -p "$DATA/sentinel"
if [ ! -s "$conf" ]; then
  primary=$(sh "$CONFIG/primary.sh")
  {
    cat "$CONFIG/sentinel.conf"
    echo "port $SENTINEL_PORT"
    echo "dir $DATA/sentinel"
    echo "sentinel announce-ip $SELF"
    echo "sentinel monitor $SERVICE ${primary:-${PEERS%% *}} $REDIS_PORT 2"
    echo "sentinel down-after-milliseconds $SERVICE ${DOWN_AFTER_MS:-5000}"
    echo "sentinel failover-timeout $SERVICE ${FAILOVER_TIMEOUT_MS:-30000}"
  } > "$conf.new"
  mv "$conf.new" "$conf"
fi
exec redis-server "$conf" --sentinel "$@"
