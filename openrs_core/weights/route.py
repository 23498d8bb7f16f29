"""Which payloads lead from the weights a sampler has to the newest: pure, no I/O."""

from collections.abc import Container, Iterable, Sequence

from openrs_core.ledger import Policy
from openrs_core.wire.messages import WeightsManifest

Route = list[WeightsManifest]


def policy_of(manifest: WeightsManifest) -> Policy:
    """Which policy a manifest publishes."""
    return Policy(manifest.incarnation, manifest.version)


def is_newer(policy: Policy, than: Policy | None) -> bool:
    """Later life of the learner, or later version of the same one."""
    if than is None:
        return True
    return (policy.incarnation, policy.version) > (than.incarnation, than.version)


def find_route(
    manifests: Sequence[WeightsManifest],
    digest: str,
    in_force: Policy | None,
    refused: Container[tuple[int, int]] = (),
) -> Route | None:
    """The cheapest way in bytes to the newest policy; empty when it is in force, None without one.

    `digest` is that of the weights at hand, `in_force` the policy they are used as (None: none
    yet); `refused` holds (incarnation, payload) of what turned out to be damaged or gone. No step
    of a route goes back to an older policy, and each but a snapshot begins at the digest where the
    one before ended.
    """
    if not manifests:
        return []
    newest = max(reversed(manifests), key=lambda m: (m.incarnation, m.version))
    if not is_newer(policy_of(newest), in_force):
        return []
    held = [m for m in manifests if _is_held(m, newest) and _name(m) not in refused]
    routes = [_follow(held, digest, in_force)]
    if snapshot := _newest_snapshot(held, in_force):
        routes.append([snapshot, *_follow(held, snapshot.digest, policy_of(snapshot))])
    arriving = [r for r in routes if r and policy_of(r[-1]) == policy_of(newest)]
    return min(arriving, key=lambda r: sum(m.size for m in r), default=None)


def _name(manifest: WeightsManifest) -> tuple[int, int]:
    return (manifest.incarnation, manifest.payload)


def _is_held(manifest: WeightsManifest, newest: WeightsManifest) -> bool:
    """Does Redis still hold it? What an earlier life published is removed by the next."""
    if manifest.incarnation != newest.incarnation:
        return False
    return manifest.form != "delta" or manifest.payload >= newest.oldest_payload


def _newest_snapshot(
    held: Iterable[WeightsManifest], in_force: Policy | None
) -> WeightsManifest | None:
    """Only the newest one: older ones are removed."""
    found = [m for m in held if m.form == "snapshot"]
    if not found or not is_newer(policy_of(found[-1]), in_force):
        return None
    return found[-1]


def _follow(held: Iterable[WeightsManifest], digest: str, policy: Policy | None) -> Route:
    """As far as deltas and names lead from here."""
    route: Route = []
    for manifest in held:
        begins = {"delta": manifest.base, "named": manifest.digest}.get(manifest.form)
        if begins == digest and is_newer(policy_of(manifest), policy):
            route.append(manifest)
            digest, policy = manifest.digest, policy_of(manifest)
    return route
