#!/bin/sh
# Start as what the sentinels say: the primary, or a replica of it. Arguments go to redis-server.
set -eu
umask 077
primary=$(sh "$CONFIG/primary.sh")
# Nobody to ask, as where all pods start at once: what this pod's sentinel knew last, or the first server.
if [ -z "$primary" ] && [ -s "$DATA/sentinel/sentinel.conf" ]; then
  primary=$(sed -n "s/^sentinel monitor $SERVICE \([^ ]*\) .*/\1/p" "$DATA/sentinel/sentinel.conf")
fi
primary=${primary:-${PEERS%% *}}
# A copy, as the sentinels have a server write into it whom it follows; made anew at each start.
{
  cat "$CONFIG/redis.conf"
  echo "dir $DATA"
  sh "$CONFIG/listen.sh" "$REDIS_PORT" users.acl
  echo "replica-announce-ip $SELF"
  if [ -n "${SECURED:-}" ]; then
    echo "masteruser replica"
    sh "$CONFIG/password.sh" masterauth replica
  fi
  [ "$primary" = "$SELF" ] || echo "replicaof $primary $REDIS_PORT"
} > "$DATA/redis.conf"
exec redis-server "$DATA/redis.conf" "$@"
