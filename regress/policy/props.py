#!/usr/bin/env python3
"""props.py RUNNER [--count N] [--seed S]: what must hold of every policy,
whatever its rules are.

  deny      without a rule nobody has a filter, a peer or a capability to use;
  order     the order of acls and of grants changes neither the peers nor the
            set of (source, destination, ports, protocol);
  more      a rule added never takes a peer or an access away;
  family    in a policy of identities, an access by IPv4 is one by IPv6.

The runner is one of README's protocol, or the word "naive".  Exit status 0
if every property holds on every seed.
"""

import argparse
import copy
import json
import sys

sys.dont_write_bytecode = True

import gen
import naive
from runner import Runner

PLAIN = ("groups", "hosts", "tagOwners", "acls", "grants", "autoApprovers",
         "nodeAttrs")


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


def same(what, before, after):
    if before != after:
        raise Broken("%s: lost %s, won %s" % (
            what, sorted(before - after, key=str)[:3],
            sorted(after - before, key=str)[:3]))


def order(asker, m, tree):
    nodes = asker.ask(m, tree)
    mixed = copy.deepcopy(tree)
    for section in ("acls", "grants"):
        if section in mixed:
            m.r.shuffle(mixed[section])
            for rule in mixed[section]:
                m.r.shuffle(rule["src"])
                m.r.shuffle(rule["dst"])
    other = asker.ask(m, mixed)
    same("peers by another order", peers(nodes), peers(other))
    same("access by another order", access(nodes), access(other))


def more(asker, m, tree):
    nodes = asker.ask(m, tree)
    m.with_via = False
    larger = copy.deepcopy(tree)
    section = m.r.choice(("acls", "grants"))
    rule = m.acl() if section == "acls" else m.grant()
    rules = larger.setdefault(section, [])
    rules.insert(m.r.randrange(len(rules) + 1), rule)
    other = asker.ask(m, larger)
    lost = peers(nodes) - peers(other)
    if lost:
        raise Broken("a rule more took away the peers %s"
                     % sorted(lost)[:3])
    lost = access(nodes) - access(other)
    if lost:
        raise Broken("a rule more took away %s"
                     % sorted(lost, key=str)[:3])


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
    other = {n["ipv4"]: n["ipv6"] for n in m.nodes}
    other.update({v6: v4 for v4, v6 in other.items()})
    found = access(asker.ask(m, tree))
    mirrored = {(x[0], other[x[1]], other[x[2]]) + x[3:] for x in found}
    same("IPv4 and IPv6", found, mirrored)


PROPERTIES = (deny, order, more, family)


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
