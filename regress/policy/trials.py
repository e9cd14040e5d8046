"""The tests that a policy brings along: policy.md 13.

A trial asks a Tailnet (naive.py), which is compiled already, what its rules
let through.  A test that fails, or that names nobody, is a Fault.
"""

import lexis
import reading
from lexis import Fault, is_self, overlap
from nodes import Node, hits


class Trial:
    """The tests and sshTests of a tailnet's policy."""

    def __init__(self, tailnet):
        self.tailnet = tailnet

    def source(self, text):
        """The addresses of a test's source; Fault if there are none."""
        try:
            alias = lexis.parse_alias(text)
            self.known(alias)
        except Fault:
            raise Fault(reading.TESTS_FAILED) from None
        found = self.tailnet.resolve(alias)
        if not found:
            raise Fault(reading.TESTS_FAILED)
        return found

    def known(self, a):
        """Names in tests must mean something."""
        p = self.tailnet.policy
        if a.kind == "user":
            ok = bool(reading.find_users(self.tailnet.users, a.text))
        elif a.kind == "group":
            ok = a.text in p.groups
        elif a.kind == "tag":
            ok = a.text in p.owners
        elif a.kind == "host":
            ok = a.text in p.hosts
        elif a.kind == "autogroup":
            ok = a.text in reading.AUTOGROUPS
        else:
            ok = True
        if not ok:
            raise Fault(reading.TESTS_FAILED)

    def at(self, found):
        """The nodes that have an address among found."""
        ranges = [r for r, _ in found]
        return [n for n in self.tailnet.nodes if hits(n, ranges)]

    def devices(self, source):
        """What autogroup:self is.  Open: the devices of the users behind the
        source."""
        owners = {n.user for n in self.at(source) if n.user}
        return [n for n in self.tailnet.nodes if n.user in owners]

    def tests(self):
        for t in self.tailnet.policy.tests:
            source = self.source(t.src)
            for wanted, lists in ((True, t.accept), (False, t.deny)):
                for dst in lists:
                    if self.allows(t, source, dst) != wanted:
                        raise Fault(reading.TESTS_FAILED)

    def allows(self, t, source, dst):
        """13.2; the shape of dst was checked before.  Open: addresses that
        lie side by side; each stands for itself here."""
        host, ports = lexis.split_hostport(dst)
        port = lexis.parse_ports(ports)[0][0]
        a = lexis.parse_alias(host)
        if is_self(a):
            targets = [x for n in self.devices(source)
                       for x in n.addresses()]
        else:
            self.known(a)
            targets = self.tailnet.resolve(a)
        if not targets:
            raise Fault(reading.TESTS_FAILED)
        wanted = (6, 17, 1, 58)
        if t.proto != "":
            wanted = (lexis.parse_protocol(t.proto.lower()),)
        rules = self.rules(targets)
        for s, _ in source:
            if not any(self.lets(rule, s, targets, port, wanted)
                       for rule in rules):
                return False
        return True

    def rules(self, targets):
        """Rules without via; those of autogroup:self as compiled for the
        nodes that are the destination."""
        p = self.tailnet.policy
        keep = reading.Record(**vars(p))
        if p.grants is not None:
            keep.grants = [g for g in p.grants if not g.via]
        other = type(self.tailnet)(keep, [], [])
        other.users, other.nodes = self.tailnet.users, self.tailnet.nodes
        nobody = Node({"id": -1, "name": ""}, {})
        out = list(other.rules(nobody))
        for n in self.at(targets):
            out += other.rules(n)
        return [r for r in out if r.caps is None]

    @staticmethod
    def lets(rule, s, targets, port, wanted):
        if rule.proto is not None and rule.proto not in wanted:
            return False
        if not any(overlap(s, r) for r in rule.src):
            return False
        return any(lo <= port <= hi and
                   any(overlap(r, t) for t, _ in targets for r in ranges)
                   for ranges, _, lo, hi in rule.dst)

    def sshtests(self):
        for t in self.tailnet.policy.sshtests:
            if not (t.accept or t.deny or t.check):
                raise Fault(reading.TESTS_FAILED)
            source = self.source(t.src)
            for dst in t.dst:
                for node in self.ssh_nodes(dst, source):
                    self.sshtest(t, source, node)

    def ssh_nodes(self, dst, source):
        a = lexis.parse_alias(dst)
        if is_self(a):
            nodes = self.devices(source)
        else:
            self.known(a)
            nodes = self.at(self.tailnet.resolve(a))
        if not nodes:
            raise Fault(reading.TESTS_FAILED)
        return nodes

    def sshtest(self, t, source, node):
        rules = self.tailnet.ssh(node)
        checks = [r for r in rules if "holdAndDelegate" in r["action"]]
        for wanted, users, which in ((True, t.accept, rules),
                                     (False, t.deny, rules),
                                     (True, t.check, checks)):
            for user in users:
                for _, s in source:
                    if any(lets_in(r, s, user) for r in which) != wanted:
                        raise Fault(reading.TESTS_FAILED)


def lets_in(rule, address, user):
    """13.3: does an ssh rule let address in as user?"""
    if {"nodeIP": address} not in rule["principals"] or user == "":
        return False
    users = rule["sshUsers"]
    if user in users:
        return users[user] != ""
    return user != "root" and users.get("*", "") != ""


def run(tailnet):
    """All tests of the tailnet's policy; Fault if one does not hold."""
    trial = Trial(tailnet)
    trial.tests()
    trial.sshtests()
