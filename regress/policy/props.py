#!/usr/bin/env python3
"""props.py RUNNER [--count N] [--seed S]: what must hold of every policy,
whatever its rules are.

  deny      without a rule nobody has a filter, a peer or a capability to use,
            without ssh nobody a login, without nodeAttrs nobody an attribute;
  order     the order of rules, and of words in them, changes neither peers,
            routes, logins and attributes nor the set of (source,
            destination, ports, protocol);
  more      a rule added, also one of ssh, with via, or of nodeAttrs, never
            takes a peer, an access, a login or an attribute away, and
            without via no route;
  family    in a policy of identities, what IPv4 may IPv6 may: access, caps,
            logins and addresses of peers;
  via       of grants with via only nodes with such a tag get rules, and who
            has neither tag nor route is led to them alone, a route by one;
  attrs     nodeAttrs change capabilities and, by disable-ipv4, addresses.

The runner is one of README's protocol, or the word "naive".  Exit status 0
if every property holds on every seed.
"""

import argparse
import copy
import json
import sys

sys.dont_write_bytecode = True

import compare
import gen
import naive
from runner import Runner

PLAIN = ("groups", "hosts", "tagOwners", "acls", "grants", "autoApprovers",
         "nodeAttrs", "ssh")
BASE_CAPS = {naive.FILE_SHARING, naive.SSH_CAP, naive.IS_ADMIN,
             naive.IS_OWNER}
ROUTE = "10.9.0.0/16"
LISTS = ("src", "dst", "users", "via", "target", "attr")


class Broken(Exception):
    pass


class Asker:
    def __init__(self, command):
        self.runner = None if command == "naive" else Runner(command)

    def ask(self, maker, tree):
        case = maker.input(json.dumps(tree))
        if self.runner is None:
            answer = naive.evaluate(case)
        else:
            answer = self.runner.ask(case)
        if not answer["ok"]:
            raise Broken("refused: %s" % answer.get("message"))
        return answer["nodes"]

    def close(self):
        if self.runner is not None:
            self.runner.close()


def base(seed):
    """A valid policy with at least one section of rules and no tests."""
    m = gen.make(seed)
    tree = {k: copy.deepcopy(m.tree[k]) for k in PLAIN if k in m.tree}
    tree = {k: v for k, v in tree.items() if v is not None}
    if "acls" not in tree and "grants" not in tree:
        tree["acls"] = [m.acl()]
    return m, tree


def peers(nodes):
    return {(a, b) for a, n in nodes.items() for b in n["peers"]}


def access(nodes):
    """All that the filters let in, piece by piece."""
    out = set()
    for name, n in nodes.items():
        for rule in n["filter"]:
            proto = tuple(rule.get("IPProto") or ())
            for s in rule["SrcIPs"]:
                for d in rule.get("DstPorts") or []:
                    out.add((name, s, d["IP"], d["Ports"]["First"],
                             d["Ports"]["Last"], proto))
                for g in rule.get("CapGrant") or []:
                    for d in g["Dsts"]:
                        for cap, v in g["CapMap"].items():
                            out.add((name, s, d, cap, json.dumps(
                                v or None, sort_keys=True)))
    return out


def logins(nodes):
    """Who gets in where and as whom, piece by piece."""
    return {(name, p["nodeIP"], user, local,
             json.dumps(rule["action"], sort_keys=True),
             json.dumps(rule.get("acceptEnv") or []))
            for name, n in nodes.items() for rule in n["ssh"]
            for p in rule["principals"]
            for user, local in rule["sshUsers"].items()}


def attributes(nodes):
    return {(name, key) for name, n in nodes.items() for key in n["caps"]}


def routes(nodes):
    """(viewer, peer, route), without the peer's own addresses."""
    return {(name, p, r) for name, n in nodes.items()
            for p, view in n["peers"].items()
            for r in set(view["allowed"]) - set(view["addrs"])}


def reachable(nodes):
    """(viewer, route), by way of whomever; also who has it itself."""
    return {(viewer, r) for viewer, _, r in routes(nodes)} | \
        {(name, r) for name, n in nodes.items() for r in n["allowed"]}


def deny(asker, m, tree):
    for section in ("acls", "grants"):
        empty = {k: v for k, v in tree.items()
                 if k not in ("acls", "grants")}
        empty[section] = []
        nodes = asker.ask(m, empty)
        if peers(nodes):
            raise Broken("an empty %s makes peers" % section)
        for name, n in nodes.items():
            if n["filter"]:
                raise Broken("an empty %s gives %s a filter"
                             % (section, name))
    bare = {k: v for k, v in tree.items() if k not in ("ssh", "nodeAttrs")}
    for section in ({}, {"ssh": [], "nodeAttrs": []}):
        for name, n in asker.ask(m, dict(bare, **section)).items():
            if n["ssh"]:
                raise Broken("logins at %s without ssh" % name)
            if set(compare.norm_caps(n["caps"])) - BASE_CAPS:
                raise Broken("attributes of %s without nodeAttrs" % name)


def same(what, before, after):
    if before != after:
        raise Broken("%s: lost %s, won %s" % (
            what, sorted(before - after, key=str)[:3],
            sorted(after - before, key=str)[:3]))


def order(asker, m, tree):
    nodes = asker.ask(m, tree)
    mixed = copy.deepcopy(tree)
    for section in ("acls", "grants", "ssh", "nodeAttrs"):
        m.r.shuffle(mixed.get(section, []))
        for rule in mixed.get(section, []):
            for words in LISTS:
                m.r.shuffle(rule.get(words, []))
    other = asker.ask(m, mixed)
    for what in (peers, access, logins, attributes, routes):
        same("%s by another order" % what.__name__, what(nodes), what(other))


def more(asker, m, tree):
    nodes = asker.ask(m, tree)
    m.with_via = False
    always = (peers, access, logins, attributes)
    for section, make, kept in (
            ("acls", m.acl, always + (reachable,)),
            ("grants", m.grant, always + (reachable,)),
            ("grants", lambda: m.via_grant(
                {"src": m.words(m.source, 1, 2)}), always),
            ("ssh", m.ssh, always + (routes,)),
            ("nodeAttrs", m.attr, always + (routes,))):
        larger = copy.deepcopy(tree)
        rules = larger.setdefault(section, [])
        rules.insert(m.r.randrange(len(rules) + 1), make())
        other = asker.ask(m, larger)
        for what in kept:
            lost = what(nodes) - what(other)
            if lost:
                raise Broken("one more of %s took away %s: %s" % (
                    section, what.__name__, sorted(lost, key=str)[:3]))


def family(asker, m, tree):
    """Only aliases that mean nodes, so no prefix and no host; and no router
    whose routes cover the nodes of one family."""
    for n in m.nodes:
        n["approved"] = [x for x in n["approved"] if x not in gen.WIDE]
    tree = {k: v for k, v in tree.items() if k in ("groups", "tagOwners")}
    tree["acls"] = []
    for _ in range(m.r.randint(1, 4)):
        ports = m.r.choice(gen.PORTS)
        rule = {"action": "accept", "src": m.words(m.identity, 1, 3),
                "dst": [w + ":" + ports for w in m.words(m.identity, 1, 3)]}
        if m.chance(0.3):
            rule["src"] = [m.self_source()]
            rule["dst"].append("autogroup:self:22")
        tree["acls"].append(rule)
    tree["grants"] = [{"src": m.words(m.identity, 1, 2),
                       "dst": m.words(m.identity, 1, 2), "app": m.app()}]
    tree["ssh"] = [m.ssh() for _ in range(m.r.randint(1, 2))]
    other = {}
    for n in m.nodes:
        for x, y in ((n["ipv4"], n["ipv6"]),
                     (n["ipv4"] + "/32", n["ipv6"] + "/128")):
            other[x], other[y] = y, x
    nodes = asker.ask(m, tree)
    found = access(nodes)
    mirrored = {(x[0], other[x[1]], other[x[2]]) + x[3:] for x in found}
    same("access by IPv4 and IPv6", found, mirrored)
    found = logins(nodes)
    same("logins by IPv4 and IPv6", found,
         {(x[0], other[x[1]]) + x[2:] for x in found})
    found = {(a, b, ip) for a, n in nodes.items()
             for b, view in n["peers"].items() for ip in view["addrs"]}
    same("addresses of IPv4 and IPv6", found,
         {(a, b, other[ip]) for a, b, ip in found})


def via(asker, m, tree):
    """Grants with via alone, and routers that compete for one route."""
    for n in m.nodes:
        if m.chance(0.3):
            n["tags"] = n["tags"] or [m.r.choice(m.tags)]
            n["routes"] = sorted({ROUTE, *n["routes"]})
            n["approved"] = list(n["routes"])
    g = m.via_grant({"src": m.words(m.source, 1, 2)})
    if m.chance(0.7):
        g["dst"].append(m.r.choice((ROUTE, "*")))
    tree = {k: v for k, v in tree.items() if k not in ("acls", "ssh")}
    tree["grants"] = [g]
    nodes = asker.ask(m, tree)
    tagged = {n["name"] for n in m.nodes if set(n["tags"]) & set(g["via"])}
    plain = {n["name"] for n in m.nodes
             if n["name"] not in tagged and not n["approved"]}
    for name, n in nodes.items():
        if n["filter"] and name not in tagged:
            raise Broken("%s has rules, but no tag of via" % name)
    seen = set()
    for viewer, peer, route in sorted(routes(nodes)):
        if viewer not in plain:
            continue
        if peer not in tagged:
            raise Broken("%s is led to %s, which has no tag of via"
                         % (viewer, peer))
        if (viewer, route) in seen:
            raise Broken("%s is led to two for %s" % (viewer, route))
        seen.add((viewer, route))


def attrs(asker, m, tree):
    tree.setdefault("nodeAttrs", []).append(m.attr())
    nodes = asker.ask(m, tree)
    other = asker.ask(m, {k: v for k, v in tree.items() if k != "nodeAttrs"})
    for what in (peers, access, logins, routes):
        same("%s by nodeAttrs" % what.__name__, what(other), what(nodes))
    given = {a for entry in tree["nodeAttrs"] for a in entry.get("attr", [])}
    if "funnel" in given:
        given |= set(naive.FUNNEL)
    won = attributes(nodes) - attributes(other)
    if attributes(other) - attributes(nodes):
        raise Broken("nodeAttrs took an attribute away")
    if {key for _, key in won} - given:
        raise Broken("attributes that no entry gives: %s" % sorted(won)[:3])
    lost = {name for name, n in nodes.items()
            if n["addrs"] != other[name]["addrs"]}
    if lost != {name for name, key in attributes(nodes)
                if key == "disable-ipv4"}:
        raise Broken("addresses of %s" % sorted(lost))


PROPERTIES = (deny, order, more, family, via, attrs)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("runner")
    p.add_argument("--count", type=int, default=500)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    asker = Asker(a.runner)
    broken = 0
    for prop in PROPERTIES:
        held = 0
        for seed in range(a.seed, a.seed + a.count):
            m, tree = base(seed)
            try:
                prop(asker, m, tree)
                held += 1
            except (Broken, KeyError, TypeError) as e:
                broken += 1
                if broken <= 20:
                    print("%s, seed %d: %s" % (prop.__name__, seed, e))
        print("property %s: %d/%d" % (prop.__name__, held, a.count))
    asker.close()
    print("properties: %s" % ("hold" if broken == 0 else
                              "%d broken" % broken))
    return 0 if broken == 0 and a.count > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
