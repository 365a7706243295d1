#!/bin/sh
# Print option $1 with the password of user $2, as a configuration file holds it.
set -eu
printf '%s "%s"\n' "$1" "$(sed 's/[\\"]/\\&/g' "$SECURED/$2")"
