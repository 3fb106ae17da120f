"""The part of scripts/check-deploy that looks into rendered files. Called with their folder and a version of Kubernetes."""

import json
import pathlib
import re
import sys
import tomllib

import kubernetes_validate
import yaml

# Kinds of the optional component, whose schemas are in no release of Kubernetes.
WITHOUT_SCHEMA = {"PodMonitor"}
# From the stop signal to the end without DRAIN_DELAY, with room for the last lines of the log. See docs/going-live.md.
DRAIN = 25
DEFAULT_DELAY = 5

folder, version = pathlib.Path(sys.argv[1]), sys.argv[2]
known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", pathlib.Path("docs/configuration.md").read_text()))
secrets = {"DATABASE_URL", "MATRICA_CLIENT_SECRET", "TOKEN_KEYS", "AUTH_CHECK_KEY"}
known |= {f"{name}_FILE" for name in secrets}
# Read by the libraries.
known |= {"SSL_CERT_FILE", "SSL_CERT_DIR"}
routes = pathlib.Path("docs/routes.md").read_text()
required = {"PUBLIC_URL", "MATRICA_CLIENT_ID", "MATRICA_CLIENT_SECRET", "TOKEN_KEYS", "DATABASE_URL"}
problems = []


def check(holds, what):
    if not holds:
        problems.append(what)


def seconds(text):
    parts = re.findall(r"(\d+)(min|m|s|$)", str(text))
    return sum(int(number) * (60 if unit.startswith("m") else 1) for number, unit in parts)


def check_variables(where, variables, stop):
    """The names, the secrets, and that a server has time to stop."""
    for name in variables:
        check(name in known, f"{where}: docs/configuration.md has no {name}")
    for name in required:
        check(name in variables or f"{name}_FILE" in variables, f"{where}: {name} is missing")
    delay = seconds(variables.get("DRAIN_DELAY", DEFAULT_DELAY))
    check(stop >= delay + DRAIN, f"{where}: {stop} s are too short to stop, with a delay of {delay} s")


def kubernetes(name):
    """Every object against its schema, and the links between them."""
    objects = [item for item in yaml.safe_load_all((folder / name).read_text()) if item]
    kinds = {}
    for item in objects:
        kind = item["kind"]
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind in WITHOUT_SCHEMA:
            continue
        where = f"{kind} {item['metadata']['name']}"
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            check(False, f"{where} has no schema")
        except kubernetes_validate.ValidationError as error:
            check(False, f"{where}: {'.'.join(map(str, error.path))}: {error.message}")
    print(f"  Kubernetes {version}, {name}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for kind in (
        "Namespace", "ServiceAccount", "ConfigMap", "Deployment", "Service", "Ingress", "HorizontalPodAutoscaler",
        "PodDisruptionBudget", "NetworkPolicy", "Job",
    ):
        check(kinds.get(kind), f"{name}: there is no {kind}")
    check("Secret" not in kinds, f"{name}: a secret is part of the rendered files")
    find = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    maps = {name: item["data"] for (kind, name), item in find.items() if kind == "ConfigMap"}
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    job = next(item for item in objects if item["kind"] == "Job")
    examples = {item["metadata"]["name"]: item["stringData"] for item in secret_examples()}
    for item in (deployment, job):
        pod_is_held(item, examples)
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    variables = dict(maps[container["envFrom"][0]["configMapRef"]["name"]])
    variables |= {entry["name"]: entry["value"] for entry in container["env"]}
    check_variables(name, variables, pod["terminationGracePeriodSeconds"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    check(str(ports["http"]) == variables["PORT"], f"{name}: PORT is not the port http")
    metrics = variables.get("METRICS_ADDR", "").rpartition(":")[2]
    check(str(ports.get("metrics", "")) == metrics, f"{name}: METRICS_ADDR is not the port metrics")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        check(f"`GET {path}`" in routes, f"{name}: docs/routes.md has no {path}")
        # Otherwise an outage of the database would restart every server.
        is_live = path == "/healthz"
        check(is_live == (probe != "readinessProbe"), f"{name}: {probe} asks {path}")
    allowed = [
        port["port"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        for rule in item["spec"].get("ingress", [])
        for port in rule["ports"]
    ]
    check(set(allowed) == set(ports.values()), f"{name}: the policies let {allowed} in, the ports are {ports}")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for item in objects:
        selector = item["spec"].get("selector", {}) if item["kind"] in ("Service", "PodDisruptionBudget") else {}
        selector = selector.get("matchLabels", selector)
        check(selector.items() <= labels.items(), f"{name}: {item['kind']} selects other pods")


def secret_examples():
    text = pathlib.Path("deploy/kubernetes/production/secrets.example.yaml").read_text()
    for item in yaml.safe_load_all(text):
        kubernetes_validate.validate(item, version, strict=True)
        yield item


def pod_is_held(item, examples):
    """Few rights, and files where the variables name them."""
    where = f"{item['kind']} {item['metadata']['name']}"
    pod = item["spec"]["template"]["spec"]
    rights = pod["securityContext"]
    user = re.findall(r"^USER (\d+):\d+$", pathlib.Path("Dockerfile").read_text(), re.M)[-1]
    check(rights["runAsNonRoot"] is True and str(rights["runAsUser"]) == user, f"{where}: the user is not {user}")
    check(rights["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile")
    check(pod["automountServiceAccountToken"] is False, f"{where}: the pod gets a token of the cluster")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in pod["containers"]:
        held = container["securityContext"]
        check(held["readOnlyRootFilesystem"] is True, f"{where}: the root can be written")
        check(held["allowPrivilegeEscalation"] is False, f"{where}: rights can grow")
        check(held["capabilities"] == {"drop": ["ALL"]}, f"{where}: the pod has capabilities")
        check("limits" in container["resources"] and "requests" in container["resources"], f"{where}: no resources")
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        for entry in container["env"]:
            if not entry["name"].endswith("_FILE"):
                continue
            path, _, key = entry["value"].rpartition("/")
            secret = mounts[path]["secret"]["secretName"]
            check(key in examples[secret], f"{where}: the secret {secret} has no {key}")


def compose():
    services = json.loads((folder / "compose.json").read_text())["services"]
    for name, service in services.items():
        where = f"compose.yml: {name}"
        check("no-new-privileges:true" in service["security_opt"], f"{where}: rights can grow")
        check(int(service["mem_limit"]) > 0 and service["pids_limit"] > 0, f"{where}: no limits")
        # Compose leaves out a zero.
        check(service["ulimits"]["core"] == {}, f"{where}: core dumps")
        if name != "db":
            check(service["read_only"] and service["cap_drop"] == ["ALL"], f"{where}: too many rights")
        granted = {f"/run/secrets/{secret['source']}" for secret in service.get("secrets", [])}
        read = {value for key, value in service.get("environment", {}).items() if key.endswith("_FILE")}
        read |= set(re.findall(r"/run/secrets/[a-z-]+", " ".join(service.get("command") or [])))
        check(granted == read, f"{where}: is given {granted} and reads {read}")
    server = services["app"]
    check(server["deploy"]["replicas"] == 2, "compose.yml: there are not two servers")
    check("ports" not in server and "ports" not in services["db"], "compose.yml: a port passes the proxy by")
    check_variables("compose.yml", server["environment"], seconds(server["stop_grace_period"]))


def systemd():
    text = pathlib.Path("deploy/systemd/server@.service").read_text()
    variables = dict(re.findall(r"^Environment=([A-Z_]+)=(.*)$", text, re.M))
    variables |= {name: "" for name in required & {"PUBLIC_URL", "MATRICA_CLIENT_ID"}}
    stop = re.search(r"^TimeoutStopSec=(.*)$", text, re.M)
    check_variables("server@.service", variables, seconds(stop.group(1)))
    for unit in pathlib.Path("deploy/systemd").glob("*.service"):
        text = unit.read_text()
        granted = set(re.findall(r"^LoadCredential=([a-z-]+):", text, re.M))
        read = set(re.findall(r"=%d/([a-z-]+)$", text, re.M))
        check(granted == read, f"{unit}: is given {granted} and reads {read}")


def fly():
    config = tomllib.loads(pathlib.Path("deploy/fly/fly.toml").read_text())
    stored = {name: "" for name in required & secrets}
    check_variables("fly.toml", config["env"] | stored, config["kill_timeout"])
    service = config["http_service"]
    check(str(service["internal_port"]) == config["env"]["PORT"], "fly.toml: PORT is not internal_port")
    check([entry["path"] for entry in service["checks"]] == ["/readyz"], "fly.toml: another check")
    check(config["kill_signal"] == "SIGTERM", "fly.toml: another signal")
    place = pathlib.Path("deploy/fly", config["build"]["dockerfile"])
    check(place.is_file(), f"fly.toml: there is no {place}")
    print("  parsed: deploy/fly/fly.toml")


def render():
    (service,) = yaml.safe_load(pathlib.Path("deploy/render/render.yaml").read_text())["services"]
    variables = {entry["key"]: entry.get("value", "") for entry in service["envVars"]}
    check_variables("render.yaml", variables, service["maxShutdownDelaySeconds"])
    open_secrets = [entry["key"] for entry in service["envVars"] if entry["key"] in secrets and "value" in entry]
    check(not open_secrets, f"render.yaml: holds {open_secrets}")
    check(service["healthCheckPath"] == "/healthz", "render.yaml: another check")
    print("  parsed: deploy/render/render.yaml")


kubernetes("production.yaml")
kubernetes("metrics.yaml")
compose()
systemd()
fly()
render()
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(bool(problems))
