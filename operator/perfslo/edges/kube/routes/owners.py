"""Who else writes a route's weights: tools that would put back what we write, and how to tell each of them not to."""

from __future__ import annotations

from collections.abc import Iterator

from perfslo.core.model import JSON, OtherWriter

CONSENT = "perfslo.io/managed"
"""A label on the route, of its owner: GitOps was told to leave the weights alone."""

TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = "app.kubernetes.io/instance"
KUSTOMIZATION = "kustomize.toolkit.fluxcd.io"
HELM_RELEASE = "helm.toolkit.fluxcd.io"
PLUGIN_LABEL = "rollouts.argoproj.io/gatewayapi-canary"
ROLLOUT = "argo-rollouts.argoproj.io/managed-by-rollouts"


def other_writers(metadata: JSON, kind: tuple[str, str], weights: str) -> tuple[OtherWriter, ...]:
    """As labels, annotations, owner references and managedFields tell.

    `kind` is its group and kind, which are not in the items of every list; `weights` is where these are, for jq.
    """
    return (*_rollout_tools(metadata), *(() if _consented(metadata) else _gitops(metadata, *kind, weights)))


def last_manager(metadata: JSON) -> str:
    """Who wrote the object last, by the name it gave, apart from its status and from us; "" when nobody else did."""
    others = [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in metadata.get("managedFields", [])
        if entry.get("manager") != "perfslo" and entry.get("subresource", "") != "status"
    ]
    return str(max(others, default=("", ""))[1])


def _gitops(metadata: JSON, group: str, kind: str, weights: str) -> Iterator[OtherWriter]:
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    name = metadata["name"]
    label_it = f'label the {kind} in git, metadata.labels: {{{CONSENT}: "true"}}'
    annotate = f"kubectl annotate {kind.lower()} {name} -n {metadata['namespace']}"
    if application := _application(metadata):
        ignored = f"[{{group: {group}, kind: {kind}, name: {name}, jqPathExpressions: ['{weights}']}}]"
        yield OtherWriter(
            "Argo CD Application",
            application,
            f"add to its spec ignoreDifferences: {ignored} and "
            f"syncPolicy: {{syncOptions: [RespectIgnoreDifferences=true]}}, and then {label_it}",
        )
    if (owner := labels.get(f"{KUSTOMIZATION}/name")) and not _left_alone(annotations):
        yield OtherWriter("Flux Kustomization", owner, f"run `{annotate} {KUSTOMIZATION}/reconcile=disabled`")
    detects = annotations.get(f"{HELM_RELEASE}/driftDetection") != "disabled"
    if (owner := labels.get(f"{HELM_RELEASE}/name")) and detects:
        yield OtherWriter("Flux HelmRelease", owner, f"run `{annotate} {HELM_RELEASE}/driftDetection=disabled`")


def _rollout_tools(metadata: JSON) -> Iterator[OtherWriter]:
    instead = "set levers.traffic.mode: Recommend, or let this SLO alone move the weights"
    for owner in metadata.get("ownerReferences", []):
        if owner["kind"] == "Canary" and owner.get("apiVersion", "").startswith("flagger.app/"):
            yield OtherWriter("Flagger Canary", owner["name"], f"{instead} (delete the Canary)")
    rollout = metadata.get("annotations", {}).get(ROLLOUT)
    if rollout or PLUGIN_LABEL in metadata.get("labels", {}) or "rollouts-controller" in _managers(metadata):
        yield OtherWriter(
            "Argo Rollout", rollout or "", f"{instead} (remove the route from the Rollout's trafficRouting)"
        )


def _application(metadata: JSON) -> str:
    """Argo CD's Application that tracks it: by annotation, or by the label that others write too."""
    if tracking := metadata.get("annotations", {}).get(TRACKING):
        return str(tracking.split(":")[0])
    by_argo = any(manager.startswith("argocd") for manager in _managers(metadata))
    return str(metadata.get("labels", {}).get(INSTANCE, "of this object")) if by_argo else ""


def _left_alone(annotations: JSON) -> bool:
    return annotations.get(f"{KUSTOMIZATION}/reconcile") == "disabled" or annotations.get(f"{KUSTOMIZATION}/ssa") in (
        "Ignore",
        "IfNotPresent",
    )


def _consented(metadata: JSON) -> bool:
    return bool(metadata.get("labels", {}).get(CONSENT) == "true")


def _managers(metadata: JSON) -> set[str]:
    return {entry.get("manager", "") for entry in metadata.get("managedFields", [])}
