#!/bin/sh
# Start as what the sentinels say: the primary, or a replica of it. Arguments go to redis-server.
set -eu
umask 077
sh "$CONFIG/keep.sh"
primary=$(sh "$CONFIG/primary.sh")
# Nobody to ask, as where all pods start at once: what this pod's sentinel knew last, or the first server.
if [ -z "$primary" ] && [ -s "$DATA/sentinel/sentinel.conf" ]; then
  primary=$(sed -n "s/^sentinel monitor $SERVICE \([^ ]*\) .*/\1/p" "$DATA/sentinel/sentinel.conf")
fi
primary=${primary:-${PEERS%% *}}
# With servers around that have another password or authority, one of them may be the primary, and those whom this pod
# can ask know nothing of it. So it waits until they are gone, and for the word of another pod's sentinel.
if [ "$primary" = "$SELF" ] && [ -n "$(sh "$CONFIG/strangers.sh")" ]; then
  trap 'exit 143' TERM
  others=$(printf '%s\n' $PEERS | grep -vxF "$SELF")
  until strangers=$(sh "$CONFIG/strangers.sh") && [ -z "$strangers" ] &&
    primary=$(sh "$CONFIG/primary.sh" "$others") && [ -n "$primary" ]; do
    echo "waits: of another password or authority: ${strangers:-no server, but no other sentinel answers yet}" >&2
    sleep 1
  done
fi
# A copy, as the sentinels have a server write into it whom it follows; made anew at each start, as a file that only its
# owner reads, whatever the one before was.
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
} > "$DATA/redis.conf.new"
mv "$DATA/redis.conf.new" "$DATA/redis.conf"
exec redis-server "$DATA/redis.conf" "$@"
