#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# k8s-secrets.sh [--secrets DIR] [--renew SECRET] [--dry-run]
#
#   makes the files of credentials that are missing: k8s/secrets/NAME.env for every NAME.env.example, random, readable by you alone,
#   never in git. Files that are there stay as they are. No value is ever printed or passed as an argument.
#
#   --renew SECRET   new values for this one (k8s/README.md#rotating-secrets: databases are told first)
#   --secrets DIR    another folder for the files (default k8s/secrets)

set -euo pipefail
# shellcheck source=scripts/lib/staging.sh
. "$(dirname "$0")/lib/staging.sh"
renew=""
while [ $# -gt 0 ]; do
	if [ "$1" = --renew ]; then
		renew=${2:-}
		shift 2 || fail $EXIT_USAGE "--renew needs the name of a Secret"
		continue
	fi
	common_option "$@"
	[ "$taken" -gt 0 ] || fail $EXIT_USAGE "$1: unknown option; see --help"
	shift "$taken"
done
check_options

random_text() { # LENGTH: letters and digits from the kernel, 5.9 bits each
	local text=""
	while [ "${#text}" -lt "$1" ]; do
		text=$text$(head -c 256 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z0-9')
	done
	printf '%s' "${text:0:$1}"
}

fill() { # EXAMPLE: its lines with random values
	local key rest length
	while IFS='=' read -r key rest || [ -n "$key" ]; do
		case "$key" in "" | \#*) continue ;; esac
		length=40
		[ "$key" != AUTHENTIK_SECRET_KEY ] || length=60
		printf '%s=%s\n' "$key" "$(random_text "$length")"
	done <"$1"
}

umask 077
if [ -n "$renew" ] && [ ! -f "$top/k8s/secrets/$renew.env.example" ]; then
	fail $EXIT_USAGE "--renew $renew: no such Secret; there are: $(cd "$top/k8s/secrets" && printf '%s ' *.env.example | sed 's/\.env\.example//g')"
fi
made="" kept=0
for example in "$top"/k8s/secrets/*.env.example; do
	secret=$(basename "$example" .env.example)
	file=$secrets_folder/$secret.env
	if [ -f "$file" ] && [ "$secret" != "$renew" ]; then
		kept=$((kept + 1))
		continue
	fi
	made="$made $secret"
	[ "$dry_run" = no ] || continue
	mkdir -p "$secrets_folder"
	fill "$example" >"$file.new"
	mv "$file.new" "$file"
done
echo "secrets: $kept kept, made:${made:- none}"
