#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# k8s-verify.sh [OPTIONS]: looks whether what was deployed works. One line a check; exit code 0 only when all pass.
#
#   --name NAME            the cluster that k8s-setup.sh made (default staging)
#   --kubeconfig FILE, --context NAME   another cluster
#   --url URL              where the ingress controller is (default: as k8s-setup.sh found it)
#   --data                 also write to both kinds of database, delete every pod, and read again
#   --timeout SECONDS      default 600
#   --dry-run              list the checks
#
# Exit codes: 0 all passed, 1 a check failed, 2 wrong command line, 3 no cluster, 4 pods did not come back in time.

set -euo pipefail
# shellcheck source=scripts/lib/staging.sh
. "$(dirname "$0")/lib/staging.sh"
data=no asked_url=""
while [ $# -gt 0 ]; do
	case "$1" in
	--data) data=yes && shift && continue ;;
	--url)
		[ -n "${2:-}" ] || fail $EXIT_USAGE "--url needs a value"
		asked_url=${2%/}
		shift 2
		continue
		;;
	esac
	common_option "$@"
	[ "$taken" -gt 0 ] || fail $EXIT_USAGE "$1: unknown option; see --help"
	shift "$taken"
done
check_options
url="" passed=0 failed=0

check() { # NAME FUNCTION
	local result=0 begin=$SECONDS output
	if [ "$dry_run" = yes ]; then
		echo "  $1"
		return 0
	fi
	output=$("$2" 2>&1) || result=$?
	if [ "$result" -eq 0 ]; then
		passed=$((passed + 1))
		printf '  passed  %-34s %3d s  %s\n' "$1" $((SECONDS - begin)) "$output"
	else
		failed=$((failed + 1))
		printf '  FAILED  %-34s %3d s  %s\n' "$1" $((SECONDS - begin)) "$output"
	fi
}

in_pod() { kube_long -n $INFRA exec --pod-running-timeout=5s "$@"; }

all_running() {
	local pods
	pods=$(kube -n $INFRA get pods -o 'jsonpath={range .items[*]}{.metadata.name}|{.status.phase}|{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
	echo "$pods" | awk -F '|' 'NF == 3 { all++ } NF == 3 && !($2 == "Succeeded" || ($2 == "Running" && $3 == "True")) { print $1, "is", $2; bad = 1 }
		END { if (all < 5) print "only", all, "pods"; else if (!bad) print all, "pods"; exit bad || all < 5 }'
}

all_namespaces() {
	kube get pods -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}|{.status.phase}{"\n"}{end}' |
		awk -F '|' '{ all++ } $2 != "Running" && $2 != "Succeeded" { print $1, "is", $2; bad = 1 } END { if (!bad) print all, "pods"; exit bad }'
}

claims_kept() {
	local volume policy count=0
	for volume in $(kube -n $INFRA get pvc -o 'jsonpath={.items[*].spec.volumeName}'); do
		policy=$(kube get pv "$volume" -o 'jsonpath={.spec.persistentVolumeReclaimPolicy} {.status.phase}')
		[ "$policy" = "Retain Bound" ] || { echo "$volume is $policy" && return 1; }
		count=$((count + 1))
	done
	[ "$count" -ge 4 ] || { echo "only $count volumes" && return 1; }
	echo "$count volumes bound, Retain"
}

postgres_lists() { in_pod postgres-0 -c postgres -- psql -U postgres -l | grep -E '^ postgres ' >/dev/null && echo "psql -l"; }
authentik_postgres_lists() { in_pod authentik-postgres-0 -c postgres -- psql -U postgres -l | grep -E '^ authentik +\| authentik ' >/dev/null && echo "database authentik, owner authentik"; }
# Through the Service, with the password: what an application does.
postgres_login() {
	# shellcheck disable=SC2016 # expanded in the pod
	in_pod postgres-0 -c postgres -- sh -c 'PGPASSWORD=$POSTGRES_PASSWORD psql -h postgres.staging-infra.svc.cluster.local -U postgres -tAc "select 1"' | grep -x 1 >/dev/null && echo "by the Service's name, with the password"
}
postgres_refuses() {
	! in_pod postgres-0 -c postgres -- sh -c 'PGPASSWORD=wrong psql -h postgres -U postgres -tAc "select 1"' >/dev/null 2>&1 && echo "a wrong password"
}
redis_pings() { [ "$(in_pod deploy/redis -c redis -- redis-cli -e ping)" = PONG ] && echo PONG; }
redis_refuses() { in_pod deploy/redis -c redis -- sh -c 'REDISCLI_AUTH= redis-cli ping' 2>&1 | grep NOAUTH >/dev/null && echo "no password"; }
authentik_redis_pings() { [ "$(in_pod deploy/authentik-redis -c redis -- redis-cli -e ping)" = PONG ] && echo PONG; }
redis_persists() { in_pod deploy/redis -c redis -- redis-cli -e config get appendonly | grep -x yes >/dev/null && echo "append-only file"; }
dns_resolves() { in_pod postgres-0 -c postgres -- getent hosts postgres.staging-infra.svc.cluster.local; }
only_ingress_outside() {
	kube get services -A -o 'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.spec.type}{"\n"}{end}' |
		awk '$2 == "LoadBalancer" || $2 == "NodePort" { print; if ($1 !~ /^ingress/) bad = 1 } END { exit bad }' | paste -sd ' ' -
}

http_answers() { # the controller reads its routes a moment after the pods are ready
	local status="" tries=0
	while [ "$tries" -lt 20 ]; do
		status=$(curl -s -o /dev/null -m 5 -w '%{http_code}' "$url/auth/api/v3/" || true)
		case "$status" in 200 | 301 | 302 | 401 | 403) echo "$url/auth/api/v3/ answers $status" && return 0 ;; esac
		tries=$((tries + 1))
		sleep 1
	done
	echo "$url/auth/api/v3/ answers $status"
	return 1
}
user_interface() {
	local status
	status=$(curl -s -L -o /dev/null -m 10 -w '%{http_code}' "$url/auth/")
	echo "$url/auth/ answers $status"
	[ "$status" = 200 ]
}
no_route() {
	local status
	status=$(curl -s -o /dev/null -m 5 -w '%{http_code}' "$url/api/")
	echo "$url/api/, which has no service yet, answers $status"
	[ "$status" = 404 ]
}
websocket_passes() {
	local key answer accept wanted path=ws/client/
	! kube -n $INFRA get deployment authentik-server -o 'jsonpath={.metadata.labels}' | grep stand-in >/dev/null || path=ws/echo/
	key=$(head -c 16 /dev/urandom | base64)
	wanted=$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' "$key" | openssl dgst -sha1 -binary | base64)
	# The connection stays open after a handshake: curl is ended by its time.
	answer=$(curl -s -i -N --http1.1 -m 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H "Sec-WebSocket-Key: $key" "$url/auth/$path" || true)
	accept=$(echo "$answer" | tr -d '\r' | sed -n 's/^[Ss]ec-[Ww]eb[Ss]ocket-[Aa]ccept: //p')
	echo "$answer" | sed -n 1p | tr -d '\r'
	[ "$accept" = "$wanted" ]
}

# --- data that stays --------------------------------------------------------------------------------------------------------

write_data() {
	stamp=$(date +%s)-$$
	in_pod postgres-0 -c postgres -- psql -U postgres -qc "CREATE TABLE IF NOT EXISTS staging_verify (stamp text); INSERT INTO staging_verify VALUES ('$stamp')" >/dev/null
	in_pod deploy/redis -c redis -- redis-cli -e set staging:verify "$stamp" >/dev/null
	in_pod deploy/redis -c redis -- redis-cli -e waitaof 1 0 5000 >/dev/null 2>&1 || sleep 2
}
data_stays() {
	local rows value
	rows=$(in_pod postgres-0 -c postgres -- psql -U postgres -tAc "SELECT count(*) FROM staging_verify WHERE stamp = '$stamp'")
	value=$(in_pod deploy/redis -c redis -- redis-cli -e get staging:verify)
	[ "$rows" = 1 ] && [ "$value" = "$stamp" ] && echo "a row and a key, after every pod was deleted"
}
replace_pods() {
	local before
	before=$(kube -n $INFRA get pods -o 'jsonpath={.items[*].metadata.uid}')
	kube_long -n $INFRA delete pods --all --wait=true --timeout="$(time_left)s" >/dev/null
	begin pods
	wait_workloads $INFRA
	for uid in $(kube -n $INFRA get pods -o 'jsonpath={.items[*].metadata.uid}'); do
		case " $before " in *" $uid "*) fail $EXIT_FAILED "pod $uid is still the old one" ;; esac
	done
	end "all new"
}

if [ "$dry_run" = no ]; then
	need_cluster
	[ -z "$asked_url" ] || url=$asked_url
	kube get --raw=/readyz >/dev/null 2>&1 || fail $EXIT_FAILED "the API server behind $kubeconfig does not answer"
	for tool in curl openssl; do
		command -v $tool >/dev/null || fail $EXIT_MISSING "$tool is missing"
	done
	if kube -n $INFRA get deployments -l staging/stand-in=authentik -o name 2>/dev/null | grep . >/dev/null; then
		echo "  note: authentik is a STAND-IN here; what is checked below /auth/ is the way there, not authentik"
	fi
fi
check "pods of $INFRA Running" all_running
check "pods of all namespaces" all_namespaces
check "claims bound, kept" claims_kept
check "postgres: psql -l" postgres_lists
check "postgres: login" postgres_login
check "postgres: refuses" postgres_refuses
check "authentik-postgres: psql -l" authentik_postgres_lists
check "redis: redis-cli ping" redis_pings
check "redis: refuses" redis_refuses
check "redis: persistence" redis_persists
if [ "$dry_run" = yes ] || kube -n $INFRA get deployment authentik-redis >/dev/null 2>&1; then
	check "authentik-redis: redis-cli ping" authentik_redis_pings
fi
check "DNS name of postgres" dns_resolves
check "only the ingress is outside" only_ingress_outside
if [ "$dry_run" = yes ] || [ -n "$url" ]; then
	check "HTTP through /auth/api/v3/" http_answers
	check "user interface at /auth/" user_interface
	check "WebSocket through /auth/" websocket_passes
	check "a path without a service" no_route
fi
if [ "$data" = yes ]; then
	[ "$dry_run" = yes ] || write_data
	[ "$dry_run" = yes ] || replace_pods
	check "data survives new pods" data_stays
	check "HTTP again" http_answers
fi
[ "$dry_run" = no ] || exit 0
echo
echo "$passed passed, $failed failed in $((SECONDS - started)) s"
[ "$failed" -eq 0 ]
