#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# k8s-setup.sh [OPTIONS]: a cluster for staging on this machine, with an ingress controller. Run again, it repairs or does nothing.
#
#   --provider kind|local|none  kind needs Docker; local is `kamaji local`, needs root and no Docker; none uses --kubeconfig
#                               (default: kind when Docker answers, else local)
#   --name NAME                 name of the cluster (default staging)
#   --images auto|upstream|offline  where images come from; offline makes them from Debian packages (k8s/offline) and runs a STAND-IN in
#                               authentik's place; auto asks the registry (default auto)
#   --ingress traefik|traefik-gateway|ingress-nginx|none   controller of the class nginx (default traefik)
#   --http-port N, --https-port N   ports on localhost, kind only (default 80 and 443)
#   --data-dir DIR              keep the volumes in this folder, so that they outlive the cluster; kind only
#   --kubeconfig FILE, --context NAME   the cluster, for --provider none
#   --timeout SECONDS           for everything together but fetching and building, which happen once (default 600)
#   --state-dir DIR             where `kamaji local` keeps its environments
#   --force                     go on although the requests do not fit this machine
#   --adopt                     use a cluster of this name that this script did not make
#   --dry-run                   say what would be done, and touch nothing
#
# First it adds up what the overlay requests and says what does not fit the machine.
# Exit codes: 0 done, 1 failed, 2 wrong command line, 3 something is missing, 4 time is up, 5 the cluster is somebody else's.

set -euo pipefail
# shellcheck source=scripts/lib/staging.sh
. "$(dirname "$0")/lib/staging.sh"
http_port=80 https_port=443 data_folder="" force=no adopt=no
NGINX_MANIFEST=https://raw.githubusercontent.com/kubernetes/ingress-nginx/controller-v1.15.1/deploy/static/provider/kind/deploy.yaml
while [ $# -gt 0 ]; do
	case "$1" in
	--http-port | --https-port | --data-dir)
		[ -n "${2:-}" ] || fail $EXIT_USAGE "$1 needs a value; see --help"
		case "$1" in --http-port) http_port=$2 ;; --https-port) https_port=$2 ;; *) data_folder=$2 ;; esac
		shift 2
		continue
		;;
	--force) force=yes && shift && continue ;;
	--adopt) adopt=yes && shift && continue ;;
	esac
	common_option "$@"
	[ "$taken" -gt 0 ] || fail $EXIT_USAGE "$1: unknown option; see --help"
	shift "$taken"
done
check_options
for port in "$http_port" "$https_port"; do
	case "$port" in "" | *[!0-9]*) fail $EXIT_USAGE "port $port: a number" ;; esac
done

# --- what the machine has, what is asked ---------------------------------------------------------------------------------------

machine_limits() { # sets machine_cpu (millicores), machine_memory (MiB), system_cpu, system_memory: what the cluster takes itself
	case "$provider" in
	kind)
		machine_cpu=$(($(docker info --format '{{.NCPU}}') * 1000))
		machine_memory=$(($(docker info --format '{{.MemTotal}}') / 1048576))
		# Requests of its static pods, DNS and network; the rest is what they really use.
		system_cpu=950 system_memory=1000
		;;
	local)
		machine_cpu=$(($(getconf _NPROCESSORS_ONLN) * 1000))
		machine_memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
		system_cpu=30 system_memory=700
		;;
	esac
}

check_fit() {
	local objects rows cpu memory storage lacking=""
	objects=$(render "$top/k8s/overlays/local") || fail $EXIT_FAILED "overlay local does not render"
	if [ "$ingress" != none ]; then
		objects=$(printf '%s\n---\n' "$objects" && render "$top/k8s/ingress/traefik") || fail $EXIT_FAILED "the ingress controller does not render"
	fi
	rows=$(echo "$objects" | list_requests)
	cpu=$(echo "$rows" | awk '{ sum += $3 } END { print sum }')
	memory=$(echo "$rows" | awk '{ sum += $4 } END { print sum }')
	storage=$(echo "$rows" | awk '{ sum += $5 } END { print sum }')
	if [ "$provider" = none ]; then
		end "requests ${cpu}m CPU, ${memory}Mi memory, ${storage}Gi storage"
		return 0
	fi
	machine_limits
	[ $((cpu + system_cpu)) -le "$machine_cpu" ] ||
		lacking="CPU: $cpu m asked and $system_cpu m for the cluster itself, $machine_cpu m there"
	[ $((memory + system_memory)) -le "$machine_memory" ] ||
		lacking="${lacking:+$lacking; }memory: $memory Mi asked and $system_memory Mi for the cluster itself, $machine_memory Mi there"
	end "requests ${cpu}m CPU, ${memory}Mi memory, ${storage}Gi storage; this machine: ${machine_cpu}m, ${machine_memory}Mi"
	[ -n "$lacking" ] || return 0
	echo "$rows" | awk '$3 || $4 { printf "    %-12s %-20s %5dm %6dMi\n", $1, $2, $3, $4 }'
	[ "$force" = yes ] || fail $EXIT_MISSING "this does not fit: $lacking. A smaller set of components may (k8s/README.md#troubleshooting); --force goes on"
	note "does not fit, going on: $lacking"
}

check_programs() {
	case "$provider" in
	kind)
		local tool
		for tool in docker kind; do
			command -v $tool >/dev/null || fail $EXIT_MISSING "$tool is missing; --provider local needs neither kind nor Docker"
		done
		docker version >/dev/null 2>&1 || fail $EXIT_MISSING "Docker does not answer: start it, or use --provider local"
		;;
	local)
		find_kamaji || fail $EXIT_MISSING "no kamaji program: build it with \`make build\`, or name it in KAMAJI_BIN"
		[ "$(id -u)" -eq 0 ] || [ "$dry_run" = yes ] || fail $EXIT_MISSING "\`kamaji local\` needs root: run this script with sudo"
		[ -z "$data_folder" ] || fail $EXIT_USAGE "--data-dir is for kind; here k8s-teardown.sh --keep-data keeps the whole environment"
		;;
	none)
		[ -n "$kubeconfig" ] || fail $EXIT_USAGE "--provider none needs --kubeconfig FILE"
		;;
	esac
	command -v curl >/dev/null || fail $EXIT_MISSING "curl is missing"
}

choose_images() {
	[ "$images" = auto ] || return 0
	images=offline
	# Any answer of the registry will do, also one that asks for a login.
	if [ "$provider" = none ] || curl -s -o /dev/null -m 5 https://registry-1.docker.io/v2/; then
		images=upstream
	fi
}

# --- cluster -----------------------------------------------------------------------------------------------------------------

kind_config() {
	local http_inside=30080 https_inside=30443
	# ingress-nginx for kind takes the node's own ports; everything else is reached by the Service's node ports.
	[ "$ingress" != ingress-nginx ] || http_inside=80 https_inside=443
	sed -e "s/containerPort: 30080/containerPort: $http_inside/" -e "s/containerPort: 30443/containerPort: $https_inside/" \
		-e "s/^name: .*/name: $name/" -e "s/hostPort: 80\$/hostPort: $http_port/" -e "s/hostPort: 443\$/hostPort: $https_port/" \
		"$top/k8s/overlays/local/kind-cluster-config.yaml"
	[ -z "$data_folder" ] || printf '    extraMounts:\n      - hostPath: %s\n        containerPath: /var/local-path-provisioner\n' "$data_folder"
}

write_settings() {
	cat >"$settings" <<-EOF
		provider=$provider
		kubeconfig=$kubeconfig
		images=$images
		overlay=$overlay
		url=$url
		local_root=$local_root
	EOF
}

# Before the first thing is made: an interrupted run is continued by the next, and removed by teardown.
claim() {
	[ "$dry_run" = no ] || return 0
	(umask 077 && mkdir -p "$state")
	write_settings
	: >"$state/made"
}

make_kind() {
	url=http://localhost
	[ "$http_port" = 80 ] || url=http://localhost:$http_port
	if kind get clusters 2>/dev/null | grep -x "$name" >/dev/null; then
		[ -f "$state/made" ] || [ "$adopt" = yes ] || fail $EXIT_CONFLICT "a kind cluster '$name' is there and was not made by this script; choose another --name, or --adopt"
		claim
		run kind export kubeconfig --name "$name" --kubeconfig "$kubeconfig"
		# A cluster whose container stopped, as after a restart of the machine, is started, not made anew.
		[ "$(docker inspect -f '{{.State.Running}}' "$name-control-plane" 2>/dev/null)" = true ] || run docker start "$name-control-plane"
		return
	fi
	claim
	[ "$dry_run" = yes ] || kind_config >"$state/kind.yaml"
	run kind create cluster --name "$name" --config "$state/kind.yaml" --kubeconfig "$kubeconfig" --wait "$(time_left)s"
}

make_local() {
	if [ -d "$local_root/$name" ] && [ ! -f "$state/made" ] && [ "$adopt" = no ]; then
		fail $EXIT_CONFLICT "an environment '$name' is in $local_root and was not made by this script; choose another --name, or --adopt"
	fi
	claim
	local since=$SECONDS
	run "$top/tools/components" "$kamaji"
	pardon "$since"
	run "$kamaji" local up --name "$name" --state-dir "$local_root" --without-operator --quiet --wait-timeout "$(time_left)s"
	run "$kamaji" local kubeconfig --name "$name" --state-dir "$local_root" --to "$kubeconfig"
}

wait_api() {
	[ "$dry_run" = no ] || return 0
	until kube get --raw=/readyz >/dev/null 2>&1; do
		check_time "the API server of '$name' does not answer"
		sleep 1
	done
	kube wait --for=condition=Ready nodes --all --timeout="$(time_left)s" >/dev/null || fail $EXIT_TIMEOUT "the nodes of '$name' are not Ready within $timeout s"
}

# --- images ------------------------------------------------------------------------------------------------------------------

import_images() {
	local made reference archive count=0 have="" ctr socket
	if [ "$dry_run" = yes ]; then
		run "$top/k8s/offline/make-images"
		return
	fi
	local since=$SECONDS
	made=$("$top/k8s/offline/make-images") || exit $?
	pardon "$since"
	if [ "$provider" = local ]; then
		ctr=$(component_program containerd ctr)
		socket=$local_root/$name/nodes/admin/containerd.sock
		# Warnings about the node's control groups are not of interest here.
		have=$("$ctr" --address "$socket" --namespace k8s.io images list 2>/dev/null)
	fi
	while read -r reference archive; do
		local digest
		digest=$(tar -xOf "$archive" index.json | tr ',' '\n' | sed -n 's/.*"digest": "\(sha256:[0-9a-f]*\)".*/\1/p')
		case "$provider" in
		kind) run kind load image-archive "$archive" --name "$name" ;;
		local)
			! echo "$have" | grep "^$reference .*$digest" >/dev/null || continue
			run "$ctr" --address "$socket" --namespace k8s.io images import "$archive"
			;;
		none) fail $EXIT_USAGE "--images offline: images cannot be put into a cluster that is not on this machine" ;;
		esac
		count=$((count + 1))
	done <<-EOF
		$made
	EOF
	imported=$count
}

# --- ingress ------------------------------------------------------------------------------------------------------------------

install_ingress() {
	local folder=$ingress
	case "$ingress" in
	none) return 0 ;;
	ingress-nginx)
		[ "$images" != offline ] || fail $EXIT_USAGE "--images offline has no ingress-nginx; --ingress traefik obeys the same class"
		run kube apply --server-side --field-manager=$FIELD_MANAGER -f "$NGINX_MANIFEST"
		run kube_long -n ingress-nginx rollout status deployment/ingress-nginx-controller --timeout="$(time_left)s"
		return
		;;
	traefik-gateway)
		[ "$dry_run" = yes ] || kube get crd httproutes.gateway.networking.k8s.io >/dev/null 2>&1 ||
			fail $EXIT_MISSING "the CRDs of Gateway API are not in the cluster; apply the standard channel of its release 1.4 first"
		;;
	esac
	if [ "$images" = offline ]; then
		folder=$ingress-offline
	fi
	run kube apply --server-side --force-conflicts --field-manager=$FIELD_MANAGER -k "$top/k8s/ingress/$folder"
	[ "$dry_run" = yes ] || wait_workloads ingress
}

find_url() {
	[ "$dry_run" = no ] || return 0
	if [ "$provider" != kind ] && [ "$ingress" != none ]; then
		local address="" namespace=ingress service=traefik
		[ "$ingress" != ingress-nginx ] || namespace=ingress-nginx service=ingress-nginx-controller
		while [ -z "$address" ]; do
			address=$(kube -n "$namespace" get service "$service" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
			[ -n "$address" ] || check_time "the Service $namespace/$service has no LoadBalancer address"
			[ -n "$address" ] || sleep 1
		done
		url=http://$address
	fi
}

url=""
begin machine
choose_provider
find_kubectl
check_programs
choose_images
overlay=local
[ "$images" != offline ] || overlay=local-offline
[ "$ingress" != traefik-gateway ] || overlay=$overlay-gateway
check_fit

begin cluster
if [ "$provider" != none ]; then
	kubeconfig=$state/kubeconfig
	"make_$provider"
elif [ "$dry_run" = no ]; then
	(umask 077 && mkdir -p "$state")
fi
wait_api
end "$provider, $name"

if [ "$images" = offline ]; then
	begin images
	imported=0
	import_images
	end "$imported brought in; made from Debian packages, authentik is a STAND-IN"
fi

begin ingress
install_ingress
find_url
end "$ingress${url:+, $url}"

[ "$dry_run" = no ] || exit 0
write_settings
echo
echo "The cluster is ready after $((SECONDS - started)) s. Next: scripts/k8s-deploy.sh$([ "$name" = staging ] || echo " --name $name")"
echo "  kubectl --kubeconfig $kubeconfig get pods -A"
