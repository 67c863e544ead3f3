"""Many objects that nobody runs: pods on nodes without kubelet, their Services and policies; made and removed through the API.

The nodes are never ready and carry no label of an operating system: nothing is scheduled there, DaemonSets pass them by, and
the pods tolerate every taint, so that no controller evicts them. EndpointSlices are the controller's own work.
"""
import http.client
import itertools
import time

from api import MERGE, Refused

NAMESPACES, FAKE_NODES, REPLICAS = 20, 50, 5
PREFIX = "scale-"
ISTIO = "/apis/{}.istio.io/v1/namespaces/{}/{}"


def namespace_of(app):
    return f"{PREFIX}{app % NAMESPACES:02}"


def node_name(i):
    return f"{PREFIX}node-{i:03}"


def enrolled(namespace):
    return int(namespace.removeprefix(PREFIX)) % 2 == 0


def address(i):
    return f"172.{20 + i // 65536}.{i // 256 % 256}.{i % 256}"


def node(i):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name(i), "labels": {"weft.test/fake": "true"}},
            "spec": {"unschedulable": True, "taints": [{"key": "weft.test/fake", "effect": "NoSchedule"}]}}


def container(name, app):
    """As long as those of a real application; the port has a name because Services ask for it."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    env = [{"name": f"SETTING_{n}", "value": f"a value of the application {app}, number {n}"} for n in range(6)]
    env.append({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    return {"name": name, "image": f"registry.example.com/team/application-{app}/{name}:1.27.4", "env": env,
            "args": ["--listen=:8080", "--log-level=info", f"--name=app-{app}"], "readinessProbe": probe, "livenessProbe": probe,
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": "cache", "mountPath": "/var/cache/app"}]}


def pod(app, number, owner):
    name = f"app-{app}"
    first, side = container("app", app), container("helper", app)
    first["ports"] = [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]
    labels = {"app": name, "version": "v1" if number % 2 else "v2", "pod-template-hash": "7d9c5b8f6b", "team": f"team-{app % 30}",
              "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": f"product-{app % 50}"}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"{name}-7d9c5b8f6b-{number:05}", "labels": labels, "ownerReferences": [owner],
                         "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": f"{app:064x}"}},
            "spec": {"nodeName": node_name((app * REPLICAS + number) % FAKE_NODES), "serviceAccountName": name,
                     "containers": [first, side], "tolerations": [{"operator": "Exists"}],
                     "volumes": [{"name": "config", "configMap": {"name": f"{name}-config"}}, {"name": "cache", "emptyDir": {}}]}}


def status(app, ip, host):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [{"type": t, "status": "True", "lastTransitionTime": now}
                  for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")]
    states = [{"name": n, "ready": True, "started": True, "restartCount": 0, "image": f"registry.example.com/team/application-{app}/{n}:1.27.4",
               "imageID": f"registry.example.com/team/application-{app}/{n}@sha256:{app:064x}", "containerID": f"containerd://{app:064x}",
               "state": {"running": {"startedAt": now}}} for n in ("app", "helper")]
    return {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": host, "hostIPs": [{"ip": host}],
                       "startTime": now, "conditions": conditions, "containerStatuses": states, "qosClass": "Burstable"}}


def service(app):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"app-{app}", "labels": {"app": f"app-{app}", "team": f"team-{app % 30}"}},
            "spec": {"selector": {"app": f"app-{app}"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}


def virtual_service(app):
    def to(version, weight):
        return {"destination": {"host": f"app-{app}", "subset": version, "port": {"number": 80}}, "weight": weight}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": f"app-{app}"},
            "spec": {"hosts": [f"app-{app}"], "http": [{"match": [{"uri": {"prefix": "/api"}}], "route": [to("v1", 90), to("v2", 10)]},
                                                       {"route": [to("v1", 100)]}]}}


def destination_rule(app):
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": f"app-{app}"},
            "spec": {"host": f"app-{app}", "subsets": [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")]}}


def authorization_policy(app):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": f"app-{app}"},
            "spec": {"selector": {"matchLabels": {"app": f"app-{app}"}},
                     "rules": [{"from": [{"source": {"principals": [f"cluster.local/ns/{namespace_of(app)}/sa/app-{n}" for n in range(app, app + 3)]}}],
                                "to": [{"operation": {"ports": ["8080"]}}]}]}}


class World:
    """Owner: scale.py. make() and remove() may each be called again after a failure."""

    def __init__(self, api, services, istio):
        self.api, self.services, self.istio = api, services, istio
        self.owners = {}
        self.numbers = itertools.count(1)  # of addresses

    def namespaces(self):
        return [f"{PREFIX}{i:02}" for i in range(NAMESPACES)]

    def make(self):
        post, namespaces = self.api.call, self.namespaces()
        self.api.all([lambda i=i: post("POST", "/api/v1/nodes", node(i)) for i in range(FAKE_NODES)])
        for name in namespaces:
            labels = {"weft.test/scale": "true", **({"istio-injection": "enabled"} if enrolled(name) else {})}
            post("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            # An owner that is there, or the garbage collector takes the pods; of a kind whose controller wants no pods.
            path = f"/api/v1/namespaces/{name}/configmaps"
            post("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
            uid = post("GET", f"{path}/owner")["metadata"]["uid"]
            self.owners[name] = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "controller": True}
        self.api.all([lambda a=a: self.make_account(a) for a in range(self.services)])
        self.api.all([lambda a=a, n=n: self.make_pod(a, n) for a in range(self.services) for n in range(REPLICAS)])
        self.repair()
        self.api.all([lambda a=a: self.make_service(a) for a in range(self.services)])
        self.api.all([lambda a=a: self.make_istio(a) for a in range(0, self.services, max(1, self.services // max(1, self.istio)))])
        self.api.all([lambda n=n: post("POST", ISTIO.format("security", n, "peerauthentications"), {
            "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"},
            "spec": {"mtls": {"mode": "STRICT"}}}) for n in namespaces[::4]])

    def make_account(self, app):
        self.api.call("POST", f"/api/v1/namespaces/{namespace_of(app)}/serviceaccounts",
                      {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"app-{app}"}})

    def make_pod(self, app, number):
        namespace = namespace_of(app)
        made = pod(app, number, self.owners[namespace])
        path = f"/api/v1/namespaces/{namespace}/pods"
        self.api.call("POST", path, made)
        self.api.call("PATCH", f"{path}/{made['metadata']['name']}/status",
                      status(app, address(next(self.numbers)), f"10.88.0.{(app * REPLICAS + number) % FAKE_NODES}"),
                      MERGE, absent_ok=True)  # another may have replaced it already

    def repair(self):
        """A pod whose status comes while the node controller first looks at it is called not ready, since its node is not: once."""
        for found in self.api.call("GET", "/api/v1/pods?labelSelector=team&resourceVersion=0")["items"]:
            conditions = found["status"].get("conditions", [])
            ours = found["metadata"]["namespace"].startswith(PREFIX)
            if ours and any(c["type"] == "Ready" and c["status"] == "False" for c in conditions):
                ready = [{**c, "status": "True"} if c["type"] == "Ready" else c for c in conditions]
                self.api.call("PATCH", f"/api/v1/namespaces/{found['metadata']['namespace']}/pods/{found['metadata']['name']}/status",
                              {"status": {"conditions": ready}}, MERGE, absent_ok=True)

    def replace_pod(self, app, old, new):
        """As a rollout does: a pod goes, another comes with another name and address."""
        self.api.call("DELETE", f"/api/v1/namespaces/{namespace_of(app)}/pods/app-{app}-7d9c5b8f6b-{old:05}?gracePeriodSeconds=0", absent_ok=True)
        self.make_pod(app, new)

    def make_service(self, app):
        self.api.call("POST", f"/api/v1/namespaces/{namespace_of(app)}/services", service(app))

    def make_istio(self, app):
        namespace = namespace_of(app)
        for group, plural, made in (("networking", "virtualservices", virtual_service), ("networking", "destinationrules", destination_rule),
                                    ("security", "authorizationpolicies", authorization_policy)):
            self.api.call("POST", ISTIO.format(group, namespace, plural), made(app))

    def slices(self):
        """How many Services have all their endpoints ready in slices."""
        items = self.api.call("GET", "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=team&resourceVersion=0")["items"]
        return sum(len([e for e in i["endpoints"] or [] if e["conditions"].get("ready")]) >= REPLICAS for i in items
                   if i["metadata"]["namespace"].startswith(PREFIX))

    def remove(self):
        """Pods by hand: nobody would end them, and a namespace waits for its pods."""
        call = self.api.call
        self.api.all([lambda n=n: self.remove_pods(f"/api/v1/namespaces/{n}/pods?gracePeriodSeconds=0") for n in self.namespaces()])
        self.api.all([lambda n=n: call("DELETE", f"/api/v1/namespaces/{n}", absent_ok=True) for n in self.namespaces()])
        self.api.all([lambda i=i: call("DELETE", f"/api/v1/nodes/{node_name(i)}", absent_ok=True) for i in range(FAKE_NODES)])

    def remove_pods(self, path):
        for tries in range(8, 0, -1):
            try:
                self.api.call("DELETE", path, absent_ok=True)
                return
            except (http.client.HTTPException, OSError, Refused):  # a server that is busy does not end it within its time
                if tries == 1:
                    raise

    def left(self):
        found = self.api.call("GET", "/api/v1/namespaces?labelSelector=weft.test/scale%3Dtrue")["items"]
        return [n["metadata"]["name"] for n in found]
