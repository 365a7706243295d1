#!/bin/sh
# redis-cli as servers and sentinels take it: where $SECURED is a folder with secrets, with TLS as the user `sentinel`.
if [ -n "${SECURED:-}" ]; then
  REDISCLI_AUTH=$(cat "$SECURED/sentinel")
  export REDISCLI_AUTH
  set -- --tls --cacert "$SECURED/ca.crt" --user sentinel "$@"
fi
exec redis-cli "$@"
