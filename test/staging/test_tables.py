# SPDX-License-Identifier: Apache-2.0
"""The tables of the design, number by number, against what is rendered: names, kinds, resources, probes, storage, routes, security."""
import pytest

from render import CLOUD, K8S, OVERLAYS, container, find, rendered, workloads

LOCAL = "overlays/local"
# name: (where it is found, kind, CPU request, CPU limit, memory request, memory limit, claim, size)
WORKLOADS = {
    "postgres": ("base", "StatefulSet", "250m", "500m", "256Mi", "512Mi", "postgres-data", "10Gi"),
    "redis": ("base", "Deployment", "100m", "250m", "128Mi", "256Mi", "redis-data", "2Gi"),
    "authentik-postgres": ("base", "StatefulSet", "250m", "500m", "256Mi", "512Mi", "authentik-postgres-data", "5Gi"),
    "authentik-redis": (LOCAL, "Deployment", "100m", "250m", "128Mi", "256Mi", "authentik-redis-data", "1Gi"),
    "authentik-server": ("base", "Deployment", "250m", "500m", "256Mi", "512Mi", "authentik-media", "2Gi"),
    "authentik-worker": ("base", "Deployment", "100m", "250m", "128Mi", "256Mi", "authentik-media", "2Gi"),
}
NAMESPACES = {
    "staging-infra": ("infrastructure", "active"),
    "staging-core": ("core-backend", "placeholder"),
    "staging-ai": ("ai-service", "placeholder"),
    "staging-web": ("web-client", "placeholder"),
}
EVERYWHERE = [f"overlays/{name}" for name in OVERLAYS] + ["base", "ingress/traefik"]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")


# --- namespaces (S-10 to S-15) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespace(name):
    service, status = NAMESPACES[name]
    labels = find("base", "Namespace", name)["metadata"]["labels"]
    assert (labels["environment"], labels["service"], labels["status"]) == ("staging", service, status)
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/enforce-version"].startswith("v1."), "pinned: a new version of Kubernetes changes no rule"
    assert (K8S / "base" / "namespaces" / f"{name}.yaml").exists(), "one file a namespace"


@pytest.mark.parametrize("name,words", [("staging-core", "Core Backend service (Nest.js) - Sprint 0 Task 3.1"), ("staging-ai", "AI Service (FastAPI) - Sprint 0 Task 3.2"),
                                        ("staging-web", "Web Client (React) - Sprint 0 Task 3.3")])
def test_placeholder_annotations(name, words):
    annotations = find("base", "Namespace", name)["metadata"]["annotations"]
    assert annotations["description"] == words
    anchor = annotations["deployment-guide"].removeprefix("See k8s/README.md#")
    headings = [line.strip("# ").lower().replace(" ", "-") for line in (K8S / "README.md").read_text().splitlines() if line.startswith("#")]
    assert anchor in headings


@pytest.mark.parametrize("where", [f"overlays/{name}" for name in OVERLAYS])
def test_placeholders_are_empty(where):
    inside = [item["metadata"]["name"] for item in rendered(where) if item["metadata"].get("namespace") in ("staging-core", "staging-ai", "staging-web")]
    assert not inside


def test_services_of_infra():
    """S-10: the six of them, in staging-infra, and nothing else runs there."""
    found = workloads(LOCAL)
    assert set(found) == set(WORKLOADS)
    assert {item["metadata"]["namespace"] for item in found.values()} == {"staging-infra"}


# --- workloads (S-20 to S-26) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKLOADS)
def test_resources(name):
    where, kind, cpu, cpu_limit, memory, memory_limit, _, _ = WORKLOADS[name]
    workload = workloads(where)[name]
    assert workload["kind"] == kind
    assert container(workload)["resources"] == {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}
    assert workload["spec"]["replicas"] == 1


def test_totals():
    """1050m and 1152Mi requested, 2250m and 2304Mi allowed, 20Gi stored: fits 8 GB and 4 cores."""
    rows = [container(workloads(where)[name])["resources"] for name, (where, *_) in WORKLOADS.items()]
    assert sum(int(row["requests"]["cpu"][:-1]) for row in rows) == 1050
    assert sum(int(row["requests"]["memory"][:-2]) for row in rows) == 1152
    assert sum(int(row["limits"]["cpu"][:-1]) for row in rows) == 2250
    assert sum(int(row["limits"]["memory"][:-2]) for row in rows) == 2304
    claims = [item for item in rendered(LOCAL) if item["kind"] == "PersistentVolumeClaim"]
    assert sum(int(item["spec"]["resources"]["requests"]["storage"][:-2]) for item in claims) == 20


@pytest.mark.parametrize("where", EVERYWHERE)
def test_every_container_has_resources(where):
    for name, workload in workloads(where).items():
        resources = container(workload)["resources"]
        assert resources["requests"]["cpu"] and resources["requests"]["memory"] and resources["limits"]["memory"], name


@pytest.mark.parametrize("name", ["postgres", "authentik-postgres"])
def test_database_has_a_headless_service(name):
    """S-20, S-22: pod NAME-0, and a name of its own by a headless Service that is internal."""
    service = find("base", "Service", name)
    assert (service["spec"]["type"], service["spec"]["clusterIP"]) == ("ClusterIP", "None")
    assert workloads("base")[name]["spec"]["serviceName"] == name
    assert service["spec"]["ports"][0]["port"] == 5432


@pytest.mark.parametrize("where,name", [("base", "redis"), (LOCAL, "authentik-redis")])
def test_redis(where, name):
    """S-21, S-23: an append-only file on a claim, one writer at a time, below the limit of its container."""
    assert find(where, "Service", name)["spec"]["type"] == "ClusterIP"
    config = find(where, "ConfigMap", f"{name}-config")["data"]["redis.conf"].splitlines()
    assert "appendonly yes" in config and "dir /data" in config
    assert any(line.startswith("maxmemory ") and int(line.split()[1].removesuffix("mb")) < 256 for line in config)
    assert workloads(where)[name]["spec"]["strategy"] == {"type": "Recreate"}


def test_authentik_services():
    """S-24, S-25: the server has a ClusterIP and is reached through the Ingress, the worker has no Service at all."""
    services = [item for item in rendered(LOCAL) if item["kind"] == "Service"]
    worker = workloads(LOCAL)["authentik-worker"]["spec"]["template"]["metadata"]["labels"]
    assert not [item for item in services if item["spec"]["selector"].items() <= worker.items()]
    server = find("base", "Service", "authentik-server")
    assert [(port["name"], port["port"]) for port in server["spec"]["ports"]] == [("http", 9000), ("https", 9443), ("metrics", 9300)]


def test_authentik_reads_what_it_is_given():
    """S-50: the Secret's key keeps its name, the variable is the one that authentik reads; served below /auth/ by itself."""
    for name in ("authentik-server", "authentik-worker"):
        variables = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container(workloads("base")[name])["env"]}
        assert variables == {"AUTHENTIK_SECRET_KEY": {"name": "authentik-secrets", "key": "AUTHENTIK_SECRET_KEY"},
                             "AUTHENTIK_POSTGRESQL__PASSWORD": {"name": "authentik-secrets", "key": "AUTHENTIK_POSTGRES_PASSWORD"}}
    config = find("base", "ConfigMap", "authentik-config")["data"]
    assert config["AUTHENTIK_WEB__PATH"] == "/auth/" and config["AUTHENTIK_POSTGRESQL__HOST"] == "authentik-postgres"


def test_shared_volume_on_one_node():
    """Server and worker mount one ReadWriteOnce volume: together on a node, and never an old and a new set beside each other."""
    for name in ("authentik-server", "authentik-worker"):
        spec = workloads("base")[name]["spec"]
        term = spec["template"]["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
        assert term["labelSelector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
        assert term["topologyKey"] == "kubernetes.io/hostname" and spec["strategy"] == {"type": "Recreate"}


def test_ingress_controller():
    """S-26: a controller of its own namespace behind a LoadBalancer, with the class that the Ingress asks for."""
    service = find("ingress/traefik", "Service", "traefik")
    assert service["spec"]["type"] == "LoadBalancer" and service["metadata"]["namespace"] == "ingress"
    assert find("ingress/traefik", "IngressClass", "nginx")["spec"]["controller"] == "k8s.io/ingress-nginx"
    ports = {port["port"]: port["nodePort"] for port in service["spec"]["ports"]}
    text = (K8S / "overlays" / "local" / "kind-cluster-config.yaml").read_text()
    for port, node_port in ports.items():
        assert f"containerPort: {node_port}\n        hostPort: {port}\n" in text, "kind maps the host's ports to the node ports"


# --- probes (S-30 to S-34) ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["postgres", "authentik-postgres"])
def test_postgres_probes(name):
    one = container(workloads("base")[name])
    for probe in PROBES[1:]:
        assert one[probe]["exec"]["command"][:3] == ["pg_isready", "-U", "postgres"]
    assert [one["livenessProbe"][key] for key in TIMES] == [30, 10, 5, 3]
    assert [one["readinessProbe"][key] for key in TIMES] == [5, 5, 3, 2]
    assert "startupProbe" not in one


@pytest.mark.parametrize("where,name", [("base", "redis"), (LOCAL, "authentik-redis")])
def test_redis_probes(where, name):
    one = container(workloads(where)[name])
    for probe in PROBES[1:]:
        assert one[probe]["exec"]["command"] == ["redis-cli", "-e", "ping"], "-e: an error that is answered counts"
    assert [one["livenessProbe"][key] for key in TIMES] == [30, 10, 5, 3]
    assert [one["readinessProbe"][key] for key in TIMES] == [5, 5, 3, 2]
    assert "startupProbe" not in one


def test_authentik_server_probes():
    """Base: /api/v3/ below the web path, as the table says. Overlays: the paths that authentik supports for it."""
    one = container(workloads("base")["authentik-server"])
    assert [one[probe]["httpGet"] for probe in PROBES] == [{"path": "/auth/api/v3/", "port": "http"}] * 3
    assert one["startupProbe"]["periodSeconds"] * one["startupProbe"]["failureThreshold"] >= 300, "migrations take minutes"
    for overlay in OVERLAYS:
        one = container(workloads(f"overlays/{overlay}")["authentik-server"])
        assert [one[probe]["httpGet"]["path"] for probe in PROBES] == ["/auth/-/health/live/", "/auth/-/health/live/", "/auth/-/health/ready/"]


@pytest.mark.parametrize("where", EVERYWHERE)
def test_probes_of_the_rest(where):
    """The worker has none, everyone else has a liveness and a readiness probe; none names another host."""
    for name, workload in workloads(where).items():
        one = container(workload)
        present = {probe for probe in PROBES if probe in one}
        assert present == set() if name == "authentik-worker" else present >= {"livenessProbe", "readinessProbe"}, name
        assert all("host" not in one[probe].get("httpGet", {}) for probe in present)


# --- storage (S-40 to S-42) --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKLOADS)
def test_claim(name):
    where, *_, claim, size = WORKLOADS[name]
    item = find(where, "PersistentVolumeClaim", claim)
    assert item["metadata"]["namespace"] == "staging-infra"
    assert item["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert item["spec"]["resources"]["requests"]["storage"] == size
    volumes = workloads(where)[name]["spec"]["template"]["spec"]["volumes"]
    assert [volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume] == [claim]


def test_class_of_base_is_standard():
    claims = [item for item in rendered("base") if item["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == 4 and all(item["spec"]["storageClassName"] == "standard" for item in claims)


def test_data_lies_on_the_claim():
    """PGDATA below the mount, not on it; and not below the volume that the image declares for itself."""
    for name in ("postgres", "authentik-postgres"):
        one = container(workloads("base")[name])
        mount = next(mount["mountPath"] for mount in one["volumeMounts"] if mount["name"] == "data")
        folder = next(entry["value"] for entry in one["env"] if entry["name"] == "PGDATA")
        assert folder.startswith(mount + "/") and not folder.startswith("/var/lib/postgresql/data")


# --- networking (S-60 to S-63) -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [name for name in EVERYWHERE if "gateway" not in name and "ingress" not in name])
def test_route_to_authentik(where):
    item = find(where, "Ingress", "authentik")
    assert item["metadata"]["namespace"] == "staging-infra" and item["spec"]["ingressClassName"] == "nginx"
    (path,) = item["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"], path["backend"]["service"]) == ("/auth/", "Prefix", {"name": "authentik-server", "port": {"name": "http"}})
    assert not [key for key in item["metadata"]["annotations"] if "rewrite" in key]
    assert len([entry for entry in rendered(where) if entry["kind"] == "Ingress"]) == 1, "the other routes come with their services"


def test_websocket_may_be_silent_for_an_hour():
    annotations = find("base", "Ingress", "authentik")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"] == "3600"


def test_route_by_gateway_api():
    route = find("overlays/local-gateway", "HTTPRoute", "authentik")
    assert route["spec"]["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/auth/"}}]
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": "authentik-server", "port": 9000}]
    assert route["spec"]["parentRefs"][0]["name"] == find("overlays/local-gateway", "Gateway", "staging")["metadata"]["name"]


@pytest.mark.parametrize("where", [f"overlays/{name}" for name in OVERLAYS] + ["base"])
def test_nothing_else_is_reached_from_outside(where):
    for item in rendered(where):
        if item["kind"] == "Service":
            assert item["spec"]["type"] == "ClusterIP", item["metadata"]["name"]
    for name, workload in workloads(where).items():
        spec = workload["spec"]["template"]["spec"]
        assert not spec.get("hostNetwork") and not [port for port in container(workload).get("ports", []) if "hostPort" in port], name


def test_no_fixed_addresses():
    """S-62: names, never addresses, except those of loopback and of every interface."""
    import re
    for where in [f"overlays/{name}" for name in OVERLAYS]:
        for item in rendered(where):
            if item["kind"] != "NetworkPolicy":
                assert not set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", str(item))) - {"127.0.0.1", "0.0.0.0"}, item["metadata"]["name"]


# --- security ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", EVERYWHERE)
def test_pods_are_restricted(where):
    users = {"postgres": 999, "authentik-postgres": 999, "redis": 999, "authentik-redis": 999, "authentik-server": 1000, "authentik-worker": 1000, "traefik": 65532}
    for name, workload in workloads(where).items():
        spec, one = workload["spec"]["template"]["spec"], container(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == users[name], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert one["securityContext"]["allowPrivilegeEscalation"] is False and one["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        # authentik's image is not known to run on a read-only root.
        assert one["securityContext"].get("readOnlyRootFilesystem", False) == (not name.startswith("authentik-server") and name != "authentik-worker"), name
        assert spec.get("automountServiceAccountToken") is False or name == "traefik", name


@pytest.mark.parametrize("where", EVERYWHERE)
def test_images_are_pinned(where):
    for name, workload in workloads(where).items():
        image = container(workload)["image"]
        registry, _, tag = image.rpartition(":")
        assert "." in registry.split("/")[0] or registry.startswith("localhost/"), f"{name}: {image} names no registry"
        assert tag not in ("", "latest") and container(workload)["imagePullPolicy"] == "IfNotPresent", name


@pytest.mark.parametrize("where", [f"overlays/{name}" for name in OVERLAYS] + ["base"])
def test_labels(where):
    """Teardown finds by them what belongs to the overlay."""
    for item in rendered(where):
        if item["kind"] not in ("StorageClass", "Namespace"):
            assert item["metadata"]["labels"]["environment"] == "staging", item["metadata"]["name"]
            assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kustomize", item["metadata"]["name"]
    for name, workload in workloads(where).items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == name and labels["app.kubernetes.io/component"], name
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_stand_in_only_where_it_is_named(overlay):
    """The stand-in for authentik is in the offline overlays alone, and every object of it says so."""
    for name, workload in workloads(f"overlays/{overlay}").items():
        stands_in = overlay.startswith("local-offline") and name in ("authentik-server", "authentik-worker")
        assert ("standin" in container(workload)["image"]) == stands_in, name
        for labels in (workload["metadata"]["labels"], workload["spec"]["template"]["metadata"]["labels"]):
            assert ("staging/stand-in" in labels) == stands_in, name


def test_same_manifests_local_and_cloud():
    """S-02: what an environment changes is storage, memory, the host name, and what protects; containers and probes are the same."""
    for overlay in CLOUD:
        for name, workload in workloads(f"overlays/{overlay}").items():
            here, there = dict(container(workload)), dict(container(workloads(LOCAL)[name]))
            here.pop("resources"), there.pop("resources")
            assert here == there, f"{overlay}: {name}"
