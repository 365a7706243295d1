#!/bin/sh
# Print how a server listens at port $1: where $SECURED is a folder with secrets, with TLS alone, also towards other
# servers, and to the users of the file $2.
set -eu
if [ -z "${SECURED:-}" ]; then
  echo "port $1"
  exit
fi
cat << CONF
port 0
tls-port $1
tls-cert-file $SECURED/tls.crt
tls-key-file $SECURED/tls.key
tls-ca-cert-file $SECURED/ca.crt
tls-auth-clients no
tls-replication yes
aclfile $SECURED/$2
CONF
