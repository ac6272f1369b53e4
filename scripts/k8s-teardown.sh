#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# k8s-teardown.sh [OPTIONS]: takes the cluster that k8s-setup.sh made away again. A second run says that there is nothing.
#
#   --name NAME        the cluster (default staging)
#   --keep-data        keep the volumes: for local the environment's folder, which the next set-up finds; for kind only what
#                      --data-dir holds stays, with or without this option
#   --secrets-too      also remove the files of credentials in k8s/secrets
#   --provider none --kubeconfig FILE [--context NAME] [--overlay NAME]   a cluster that is not ours: removes the overlay's workloads,
#                      and leaves namespaces, claims and volumes
#   --yes              do not ask
#   --dry-run          say what would be done, and touch nothing
#
# Exit codes: 0 gone, 1 failed, 2 wrong command line (or nobody to ask), 5 the cluster is somebody else's.

set -euo pipefail
# shellcheck source=scripts/lib/staging.sh
. "$(dirname "$0")/lib/staging.sh"
keep_data=no secrets_too=no
while [ $# -gt 0 ]; do
	case "$1" in
	--keep-data) keep_data=yes && shift && continue ;;
	--secrets-too) secrets_too=yes && shift && continue ;;
	esac
	common_option "$@"
	[ "$taken" -gt 0 ] || fail $EXIT_USAGE "$1: unknown option; see --help"
	shift "$taken"
done
check_options
read_settings

confirm() { # QUESTION
	local answer=""
	[ "$assume_yes" = no ] && [ "$dry_run" = no ] || return 0
	[ -t 0 ] || fail $EXIT_USAGE "$1 Nobody can be asked here: say --yes"
	printf '%s [y/N] ' "$1"
	read -r answer
	case "$answer" in y | Y | yes) ;; *) fail $EXIT_FAILED "nothing was done" ;; esac
}

remove_secrets() {
	[ "$secrets_too" = yes ] || return 0
	begin secrets
	run rm -f "$secrets_folder"/*.env
	end "files of credentials"
}

remove_workloads() {
	[ -n "$kubeconfig" ] || fail $EXIT_USAGE "--provider none needs --kubeconfig FILE"
	find_kubectl
	confirm "Remove the workloads of overlay ${overlay:-local} from the cluster behind $kubeconfig? Claims and volumes stay."
	begin workloads
	# Namespaces would take the claims with them.
	run kube_long -n $INFRA delete deployments,statefulsets,services,ingresses,configmaps,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers \
		-l app.kubernetes.io/managed-by=kustomize --wait=true --timeout="${timeout}s" --ignore-not-found
	if [ "$dry_run" = yes ] || kube get crd gateways.gateway.networking.k8s.io >/dev/null 2>&1; then
		run kube_long -n $INFRA delete gateways,httproutes -l app.kubernetes.io/managed-by=kustomize --ignore-not-found
	fi
	end "removed; claims left: $([ "$dry_run" = yes ] || kube -n $INFRA get pvc -o name | grep -c . || true)"
}

if [ "$provider" = none ]; then
	remove_workloads
	[ "$dry_run" = yes ] || rm -rf "$state"
	remove_secrets
	exit 0
fi
if [ ! -f "$state/made" ]; then
	if [ "$provider" = local ] && [ -d "$local_root/$name" ]; then
		fail $EXIT_CONFLICT "the environment '$name' in $local_root was not made by k8s-setup.sh; use \`kamaji local down\`"
	fi
	echo "  there is no cluster '$name'"
	remove_secrets
	exit 0
fi
case "$provider:$keep_data" in
local:yes) confirm "Stop the cluster '$name'? Its data stays." ;;
*) confirm "Remove the cluster '$name' with all data in it?" ;;
esac
begin cluster
case "$provider" in
kind) run kind delete cluster --name "$name" --kubeconfig "$state/kubeconfig" ;;
local)
	find_kamaji || fail $EXIT_MISSING "no kamaji program: build it with \`make build\`, or name it in KAMAJI_BIN"
	if [ "$keep_data" = yes ]; then
		run "$kamaji" local down --name "$name" --state-dir "$local_root"
	else
		run "$kamaji" local down --name "$name" --state-dir "$local_root" --purge
	fi
	;;
esac
if [ "$keep_data" = yes ] && [ "$provider" = local ]; then
	end "stopped; k8s-setup.sh starts it again with its data"
else
	run rm -rf "$state"
	end "gone"
fi
remove_secrets
