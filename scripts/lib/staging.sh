# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the k8s-*.sh scripts share: options, progress, waiting with reasons. Written for bash 3.2, which macOS has.
#
# Exit codes of all: 0 done, 1 failed, 2 wrong command line, 3 something is missing on this machine, 4 time is up, 5 it belongs to
# somebody else.
# shellcheck disable=SC2034 # read by the scripts
EXIT_FAILED=1 EXIT_USAGE=2 EXIT_MISSING=3 EXIT_TIMEOUT=4 EXIT_CONFLICT=5
INFRA=staging-infra
FIELD_MANAGER=staging

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
script=$(basename "$0")
provider="" name=staging overlay="" images=auto ingress=traefik kubeconfig="" context="" timeout=600 dry_run=no assume_yes=no
state_root=${STAGING_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/kamaji-staging}
local_root=/var/lib/kamaji/local
secrets_folder=$top/k8s/secrets
started=$SECONDS
# Seconds that went into fetching and building: they happen once, take as long as they take, and do not count.
pardoned=0

fail() { # CODE TEXT...
	local code=$1
	shift
	echo "$script: $*" >&2
	exit "$code"
}

usage() { # the comment at the top of the script is its help
	sed -n '3,/^$/s/^# \{0,1\}//p' "$0"
	exit "${1:-0}"
}

# One option and its value; says how many words it took in `taken`, 0 when it is not one of the common ones.
common_option() { # WORD VALUE
	taken=2
	case "$1" in
	--provider | --name | --overlay | --images | --ingress | --kubeconfig | --context | --timeout | --state-dir | --secrets)
		[ -n "${2:-}" ] || fail $EXIT_USAGE "$1 needs a value; see --help"
		;;
	esac
	case "$1" in
	--provider) provider=$2 ;;
	--name) name=$2 ;;
	--overlay) overlay=$2 ;;
	--images) images=$2 ;;
	--ingress) ingress=$2 ;;
	--kubeconfig) kubeconfig=$2 ;;
	--context) context=$2 ;;
	--timeout) timeout=$2 ;;
	--state-dir) local_root=$2 ;;
	--secrets) secrets_folder=$2 ;;
	*)
		taken=1
		case "$1" in
		--dry-run) dry_run=yes ;;
		--yes | -y) assume_yes=yes ;;
		-h | --help) usage 0 ;;
		*) taken=0 ;;
		esac
		;;
	esac
}

check_options() {
	case "$provider" in "" | kind | local | none) ;; *) fail $EXIT_USAGE "--provider $provider: it is kind, local or none" ;; esac
	case "$images" in auto | upstream | offline) ;; *) fail $EXIT_USAGE "--images $images: it is auto, upstream or offline" ;; esac
	case "$ingress" in traefik | traefik-gateway | ingress-nginx | none) ;; *)
		fail $EXIT_USAGE "--ingress $ingress: it is traefik, traefik-gateway, ingress-nginx or none"
		;;
	esac
	case "$name" in "" | *[!a-z0-9-]* | -* | *-) fail $EXIT_USAGE "--name $name: small letters, digits and hyphens" ;; esac
	case "$timeout" in "" | *[!0-9]*) fail $EXIT_USAGE "--timeout $timeout: a number of seconds" ;; esac
	state=$state_root/$name
	settings=$state/settings
}

# --- progress -------------------------------------------------------------------------------------------------------------

begin() { # PHASE
	phase=$1 phase_started=$SECONDS
}

end() { # TEXT
	printf '  %-20s %4d s  %s\n' "$phase" $((SECONDS - phase_started)) "$*"
}

note() { printf '  %-20s         %s\n' "" "$*"; }

time_left() { echo $((timeout - (SECONDS - started - pardoned))); }

pardon() { pardoned=$((pardoned + SECONDS - $1)); } # SINCE

check_time() { # what is being waited for
	[ "$(time_left)" -gt 0 ] || fail $EXIT_TIMEOUT "not done within $timeout s: $*"
}

# Runs a command; prints it instead when nothing may be touched. What it says is shown only when it fails.
run() {
	local log result=0
	if [ "$dry_run" = yes ]; then
		local words="$*"
		case "$1" in
		kube | kube_long) words="$kubectl_program --kubeconfig $kubeconfig${context:+ --context $context} ${words#* }" ;;
		esac
		printf '  + %s\n' "$words"
		return 0
	fi
	log=$(mktemp)
	"$@" >"$log" 2>&1 || result=$?
	if [ "$result" -ne 0 ]; then
		tail -n 25 "$log" >&2
		rm -f "$log"
		fail $EXIT_FAILED "${phase:-}: failed (exit $result): $*"
	fi
	rm -f "$log"
}

# --- programs -------------------------------------------------------------------------------------------------------------

find_kamaji() {
	local candidate
	for candidate in "${KAMAJI_BIN:-}" "$top/build-release/src/cmd/kamaji" "$top/build/src/cmd/kamaji" "$(command -v kamaji || true)"; do
		if [ -n "$candidate" ] && [ -x "$candidate" ]; then
			kamaji=$candidate
			return 0
		fi
	done
	return 1
}

# A program of the environment's own components: its version fits the cluster's.
component_program() { # COMPONENT FILE
	"$kamaji" local components "$1" --list -o json 2>/dev/null | tr '{' '\n' | grep -E "\"file\": ?\"$2\"" | grep -E '"state": ?"present"' |
		sed -n 's/.*"path": *"\([^"]*\)".*/\1/p' | sed -n 1p
}

find_kubectl() {
	kubectl_program=${KUBECTL:-}
	if [ -z "$kubectl_program" ] && find_kamaji; then
		kubectl_program=$(component_program kubernetes kubectl)
	fi
	[ -n "$kubectl_program" ] || kubectl_program=$(command -v kubectl || true)
	[ -n "$kubectl_program" ] || fail $EXIT_MISSING "kubectl is missing: install it (1.32 or newer), or name it in KUBECTL"
}

# Never the current context: what is changed is named.
kube() { "$kubectl_program" --kubeconfig "$kubeconfig" ${context:+--context "$context"} --request-timeout=30s "$@"; }
# The same without an end of its own, for exec and for waiting.
kube_long() { "$kubectl_program" --kubeconfig "$kubeconfig" ${context:+--context "$context"} "$@"; }

choose_provider() {
	[ -z "$provider" ] || return 0
	if command -v kind >/dev/null && command -v docker >/dev/null && docker version >/dev/null 2>&1; then
		provider=kind
	elif find_kamaji; then
		provider=local
	else
		fail $EXIT_MISSING "neither kind with a running Docker nor kamaji is here: install one, or name a cluster with --provider none --kubeconfig FILE"
	fi
}

# What k8s-setup.sh chose, unless the command line says otherwise.
read_settings() {
	local key value
	[ -f "$settings" ] || return 0
	while IFS='=' read -r key value; do
		case "$key" in
		provider) [ -n "$provider" ] || provider=$value ;;
		images) [ "$images" != auto ] || images=$value ;;
		kubeconfig) [ -n "$kubeconfig" ] || kubeconfig=$value ;;
		url) url=$value ;;
		overlay) [ -n "$overlay" ] || overlay=$value ;;
		local_root) local_root=$value ;;
		esac
	done <"$settings"
}

need_cluster() {
	read_settings
	find_kubectl
	[ -n "$kubeconfig" ] || fail $EXIT_MISSING "no cluster '$name' was set up here: run scripts/k8s-setup.sh, or name one with --kubeconfig FILE"
	[ -f "$kubeconfig" ] || fail $EXIT_MISSING "$kubeconfig is not there any more: run scripts/k8s-setup.sh again"
}

# --- what an overlay asks for ------------------------------------------------------------------------------------------------

render() { # FOLDER: its objects; a warning is a failure
	local errors out
	errors=$(mktemp)
	out=$("$kubectl_program" kustomize "$1" 2>"$errors") || {
		cat "$errors" >&2
		rm -f "$errors"
		return 1
	}
	if [ -s "$errors" ]; then
		cat "$errors" >&2
		rm -f "$errors"
		return 1
	fi
	rm -f "$errors"
	printf '%s\n' "$out"
}

# Reads objects; prints KIND NAME MILLICORES MEBIBYTES GIBIBYTES-OF-STORAGE for what asks for something.
list_requests() {
	awk '
	function flush() {
		if (kind != "" && (cpu || memory || storage))
			print kind, name, cpu * replicas, memory * replicas, storage
		kind = name = ""; cpu = memory = storage = 0; replicas = 1; requests = -1
	}
	function mebibytes(text) {
		if (text ~ /Gi$/) return text * 1024
		if (text ~ /Mi$/) return text * 1
		return text / 1048576
	}
	BEGIN { flush() }
	/^---/ { flush(); next }
	{ match($0, /^[ -]*/); depth = RLENGTH; value = $2; gsub(/"/, "", value) }
	/^kind:/ { kind = value }
	/^  name:/ && name == "" { name = value }
	/^  replicas:/ { replicas = value }
	requests >= 0 && depth <= requests { requests = -1 }
	/^ *requests:/ { requests = depth; next }
	requests >= 0 && /cpu:/ { cpu += (value ~ /m$/) ? value * 1 : value * 1000 }
	requests >= 0 && /memory:/ { memory += mebibytes(value) }
	requests >= 0 && /storage:/ { storage += mebibytes(value) / 1024 }
	END { flush() }'
}

# --- waiting ----------------------------------------------------------------------------------------------------------------

# Workloads of a namespace that are not as they should be: "name(ready/wanted) ...". Nothing when all are.
unfinished() { # NAMESPACE
	local template
	template='{range .items[*]}{.metadata.name}|{.metadata.generation}|{.status.observedGeneration}|{.spec.replicas}|{.status.updatedReplicas}|{.status.readyReplicas}|{.status.replicas}{"\n"}{end}'
	kube -n "$1" get deployments,statefulsets -o "jsonpath=$template" | awk -F '|' '
		NF == 7 && ($2 + 0 > $3 + 0 || $5 + 0 < $4 + 0 || $6 + 0 < $4 + 0 || $7 + 0 > $4 + 0) { printf "%s (%d/%d) ", $1, $6, $4 }'
}

wait_workloads() { # NAMESPACE
	local open last="" since=$SECONDS
	while :; do
		open=$(unfinished "$1") || open="the API server does not answer"
		[ -n "$open" ] || return 0
		if [ "$open" != "$last" ] || [ $((SECONDS - since)) -ge 30 ]; then
			note "waiting: $open"
			last=$open since=$SECONDS
		fi
		if [ "$(time_left)" -le 0 ]; then
			explain_pods "$1"
			fail $EXIT_TIMEOUT "not ready within $timeout s: $open"
		fi
		sleep 1
	done
}

# Why pods are not ready: their state, the last events, the end of the failing container's log.
explain_pods() { # NAMESPACE
	local pod
	echo "--- pods of $1 that are not ready" >&2
	kube -n "$1" get pods -o 'jsonpath={range .items[*]}{.metadata.name}|{.status.phase}|{.status.conditions[?(@.type=="Ready")].status}|{.status.containerStatuses[*].state.waiting.reason}|{.status.conditions[?(@.type=="PodScheduled")].message}{"\n"}{end}' |
		awk -F '|' '$3 != "True" && $2 != "Succeeded" { print "  " $1 ": " $2 " " $4 " " $5 }' >&2 || true
	echo "--- the last warnings" >&2
	kube -n "$1" get events --field-selector type=Warning --sort-by=.lastTimestamp -o 'custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message' --no-headers 2>/dev/null |
		tail -n 8 | sed 's/^/  /' >&2 || true
	for pod in $(kube -n "$1" get pods -o 'jsonpath={range .items[*]}{.metadata.name}|{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' | awk -F '|' '$2 != "True" { print $1 }'); do
		echo "--- the end of $pod's log" >&2
		kube -n "$1" logs "$pod" --all-containers --tail=20 2>/dev/null | sed 's/^/  /' >&2 || true
	done
}
