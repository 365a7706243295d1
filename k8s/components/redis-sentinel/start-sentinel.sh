#!/bin/sh
# Start a sentinel with what it knew; a new one asks the others who is the primary. Arguments go to redis-server.
set -eu
umask 077
conf=$DATA/sentinel/sentinel.conf
sh "$CONFIG/keep.sh"
mkdir -p "$DATA/sentinel"
if [ ! -s "$conf" ]; then
  primary=$(sh "$CONFIG/primary.sh")
  {
    cat "$CONFIG/sentinel.conf"
    echo "dir $DATA/sentinel"
    echo "sentinel announce-ip $SELF"
    echo "sentinel monitor $SERVICE ${primary:-${PEERS%% *}} $REDIS_PORT 2"
    echo "sentinel down-after-milliseconds $SERVICE ${DOWN_AFTER_MS:-5000}"
    echo "sentinel failover-timeout $SERVICE ${FAILOVER_TIMEOUT_MS:-30000}"
  } > "$conf.new"
  mv "$conf.new" "$conf"
fi
# How it listens and by what it is known is of today, the rest it has learned.
{
  grep -vE '^(port|tls-[a-z-]+|aclfile|user|sentinel (auth-user|auth-pass|sentinel-user|sentinel-pass)) ' "$conf"
  sh "$CONFIG/listen.sh" "$SENTINEL_PORT" sentinels.acl
  if [ -n "${SECURED:-}" ]; then
    echo "sentinel auth-user $SERVICE sentinel"
    sh "$CONFIG/password.sh" "sentinel auth-pass $SERVICE" sentinel
    echo "sentinel sentinel-user sentinel"
    sh "$CONFIG/password.sh" "sentinel sentinel-pass" sentinel
  fi
} > "$conf.new"
mv "$conf.new" "$conf"
exec redis-server "$conf" --sentinel "$@"
