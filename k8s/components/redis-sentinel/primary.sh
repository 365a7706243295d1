#!/bin/sh
# Print the server that most sentinels name as the primary, of those beside the servers $1 (default: all); nothing where
# none answers.
set -eu
for peer in ${1:-$PEERS}; do
  named=$(timeout 2 sh "$CONFIG/ask.sh" --raw -h "$peer" -p "$SENTINEL_PORT" sentinel get-master-addr-by-name "$SERVICE" 2>/dev/null | head -n 1)
  case " $PEERS " in *" ${named:-nobody} "*) echo "$named" ;; esac
done | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
