#!/bin/sh
# redis-cli as servers and sentinels take it: where $SECURED is a folder with secrets, with TLS as the user `sentinel`, by
# what keep.sh kept of them at the start of this container.
if [ -n "${SECURED:-}" ]; then
  REDISCLI_AUTH=$(cat "$KEPT/sentinel")
  export REDISCLI_AUTH
  set -- --tls --cacert "$KEPT/ca.crt" --user sentinel "$@"
fi
exec redis-cli "$@"
