#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# k8s-deploy.sh [OPTIONS]: makes what secrets are missing, applies an overlay (server-side) and waits until all of it is ready.
#
#   --name NAME          the cluster that k8s-setup.sh made (default staging)
#   --overlay NAME       a folder of k8s/overlays (default: what k8s-setup.sh chose; local, or local-offline without a registry)
#   --kubeconfig FILE, --context NAME   another cluster, for instance one in a cloud
#   --secrets DIR        the files of credentials (default k8s/secrets); missing ones are made
#   --timeout SECONDS    default 600
#   --dry-run            server-side dry run against the cluster; changes nothing. Without a cluster: only renders
#
# Exit codes: 0 ready, 1 failed, 2 wrong command line, 3 no cluster, 4 not ready in time (the reasons are printed).

set -euo pipefail
# shellcheck source=scripts/lib/staging.sh
. "$(dirname "$0")/lib/staging.sh"
while [ $# -gt 0 ]; do
	common_option "$@"
	[ "$taken" -gt 0 ] || fail $EXIT_USAGE "$1: unknown option; see --help"
	shift "$taken"
done
check_options
url=""
if [ "$dry_run" = yes ] && [ ! -f "$settings" ] && [ -z "$kubeconfig" ]; then
	find_kubectl
	begin render
	objects=$(render "$top/k8s/overlays/${overlay:-local}") || fail $EXIT_FAILED "overlay ${overlay:-local} does not render"
	end "$(echo "$objects" | grep -c '^kind:') objects of ${overlay:-local}; no cluster to ask"
	exit 0
fi
need_cluster
[ -n "$overlay" ] || overlay=local
[ -f "$top/k8s/overlays/$overlay/kustomization.yaml" ] || fail $EXIT_USAGE "--overlay $overlay: there are: $(cd "$top/k8s/overlays" && echo *)"

# The overlay, the Secrets of this machine's files, and a mark on the pods that read them, so that a changed Secret makes new pods. Lives
# for the time of one run: kustomize reads files below its own folder only.
wrapper=""
objects=$(mktemp)
trap 'rm -rf "$objects" ${wrapper:+"$wrapper"}' EXIT

digest_of() { cat "$@" | sha256sum | cut -c 1-16; }

mark() { # NAME-PATTERN KIND DIGEST
	cat <<EOF
  - target:
      kind: $2
      name: $1
    patch: |-
      apiVersion: apps/v1
      kind: $2
      metadata:
        name: any
      spec:
        template:
          metadata:
            annotations:
              staging/configuration: "$3"
EOF
}

make_wrapper() {
	local secret
	mkdir -p "$top/k8s/.generated"
	wrapper=$(mktemp -d "$top/k8s/.generated/$name.XXXXXX")
	cp "$secrets_folder"/*.env "$wrapper/"
	{
		cat <<-EOF
			apiVersion: kustomize.config.k8s.io/v1beta1
			kind: Kustomization
			resources:
			  - ../../overlays/$overlay
			generatorOptions:
			  disableNameSuffixHash: true
			  labels:
			    app.kubernetes.io/managed-by: kustomize
			secretGenerator:
		EOF
		for secret in "$wrapper"/*.env; do
			secret=$(basename "$secret" .env)
			printf '  - name: %s\n    namespace: %s\n    type: Opaque\n    envs: [%s.env]\n' "$secret" $INFRA "$secret"
		done
		echo "patches:"
		mark postgres StatefulSet "$(digest_of "$wrapper/postgres-secrets.env")"
		mark authentik-postgres StatefulSet "$(digest_of "$wrapper/authentik-postgres-secrets.env")"
		mark redis Deployment "$(digest_of "$wrapper/redis-secrets.env" "$top/k8s/base/redis/redis.yaml")"
		mark authentik-redis Deployment "$(digest_of "$wrapper/authentik-redis-secrets.env" "$top/k8s/components/authentik-redis/redis.yaml")"
		mark 'authentik-(server|worker)' Deployment "$(digest_of "$wrapper/authentik-secrets.env" "$top/k8s/base/authentik/config.yaml")"
		# What the browser is called with, where that is not localhost.
		if [ -n "$url" ] && [ "$url" != http://localhost ]; then
			cat <<-EOF
				  - target:
				      kind: ConfigMap
				      name: authentik-config
				    patch: |-
				      - op: replace
				        path: /data/AUTHENTIK_WEB__BASE_URL
				        value: $url
			EOF
		fi
	} >"$wrapper/kustomization.yaml"
}

begin secrets
[ "$dry_run" = yes ] || note "$("$top/scripts/k8s-secrets.sh" --secrets "$secrets_folder")"
if [ "$dry_run" = yes ] && ! ls "$secrets_folder"/*.env >/dev/null 2>&1; then
	note "would be made: $(cd "$top/k8s/secrets" && printf '%s ' *.env.example | sed 's/\.env\.example//g')"
	render "$top/k8s/overlays/$overlay" >"$objects" || fail $EXIT_FAILED "overlay $overlay does not render"
else
	make_wrapper
	(umask 077 && render "$wrapper" >"$objects") || fail $EXIT_FAILED "overlay $overlay does not render"
fi
end "$secrets_folder"

begin apply
kube get --raw=/readyz >/dev/null 2>&1 || fail $EXIT_FAILED "the API server behind $kubeconfig does not answer"
count=$(grep -c '^kind:' "$objects")
if [ "$dry_run" = yes ]; then
	if kube get namespace $INFRA >/dev/null 2>&1; then
		run_output=$(kube apply --server-side --force-conflicts --field-manager=$FIELD_MANAGER --dry-run=server --validate=strict -f "$objects" 2>&1) ||
			fail $EXIT_FAILED "the API server refuses: $run_output"
		end "$count objects of $overlay would be taken"
	else
		end "$count objects of $overlay would be made; their namespaces are not there yet"
	fi
	exit 0
fi
if kube diff --server-side --force-conflicts --field-manager=$FIELD_MANAGER -f "$objects" >/dev/null 2>&1; then
	end "$count objects of $overlay, unchanged"
else
	result=0
	output=$(kube apply --server-side --force-conflicts --field-manager=$FIELD_MANAGER --validate=strict -f "$objects" 2>&1) || result=$?
	# A warning (a field nobody knows, a pod that restricted security would refuse) is not good enough.
	if [ "$result" -ne 0 ] || echo "$output" | grep '^Warning:' >/dev/null; then
		echo "$output" | grep -v 'serverside-applied$' >&2
		fail $EXIT_FAILED "the API server does not take overlay $overlay as it is"
	fi
	end "$count objects of $overlay"
fi

begin pods
wait_workloads $INFRA
end "$(kube -n $INFRA get pods --field-selector=status.phase=Running -o name | grep -c .) pods Running in $INFRA"
if kube -n $INFRA get deployments -l staging/stand-in=authentik -o name 2>/dev/null | grep . >/dev/null; then
	note "authentik is a STAND-IN here, not the real one"
fi
echo
echo "Ready after $((SECONDS - started)) s.${url:+ $url/auth/}"
