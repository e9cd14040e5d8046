"""Nodes as the judge sees them, and the plain questions about addresses: who
is hit by a range, what stays in a filter, what is the internet."""

import lexis
from lexis import inside, overlap

ANY4 = lexis.parse_prefix("0.0.0.0/0")
ANY6 = lexis.parse_prefix("::/0")


def text_range(s):
    """lo-hi or a prefix, as a range."""
    lo, dash, hi = s.partition("-")
    if not dash:
        return lexis.parse_prefix(s).range
    a, b = lexis.parse_address(lo), lexis.parse_address(hi)
    return (a[0], a[1], b[1])


# 4.1: what "*" means as a source, and 4.6: the internet, in wire order
TAILNET = [(text_range(s), s) for s in (
    "100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255",
    "fd7a:115c:a1e0::/48")]
INTERNET = [(text_range(s), s) for s in (
    "0.0.0.0-9.255.255.255", "11.0.0.0-100.63.255.255",
    "100.128.0.0-169.253.255.255", "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255", "192.169.0.0-255.255.255.255",
    "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]


class Node:
    def __init__(self, n, users):
        self.id = n["id"]
        self.name = n["name"]
        self.tags = n.get("tags") or []
        self.tagged = bool(self.tags)
        # a tagged node belongs to no user (4)
        self.user = 0 if self.tagged else n.get("user") or 0
        self.owner = users.get(self.user)
        self.online = n.get("online", True)
        self.own = [lexis.parse_prefix(n[k]) for k in ("ipv4", "ipv6")
                    if n.get(k)]
        self.advertised = [lexis.parse_prefix(r)
                           for r in n.get("routes") or []]
        approved = {lexis.parse_prefix(r).text
                    for r in n.get("approved") or []}
        # only what is advertised and approved counts
        effective = [r for r in self.advertised if r.text in approved]
        self.routes = [r for r in effective if not r.is_exit]
        self.exits = [r for r in effective if r.is_exit]
        self.is_exit = bool(self.exits)

    def addresses(self):
        """[(range, string)], v4 then v6."""
        return [(p.range, p.short) for p in self.own]

    def __repr__(self):
        return self.name


def hits(node, ranges):
    """Some range contains an address of the node."""
    for p in node.own:
        for r in ranges:
            if r[1] <= p.first <= r[2] and r[0] == p.family:
                return True
    return False


def routes_hit(node, ranges):
    """Some range overlaps an approved subnet route of the node."""
    return any(overlap(p.range, r) for p in node.routes for r in ranges)


def keeps(node, r):
    """6: does an entry for this range stay in the node's filter?"""
    if hits(node, [r]) or routes_hit(node, [r]):
        return True
    return node.is_exit and any(inside(r, x) for x, _ in INTERNET)


def covers_internet(ranges):
    """All of 0/0, or all of ::/0, or all of 4.6."""
    if covered(ANY4.range, ranges) or covered(ANY6.range, ranges):
        return True
    return all(covered(x, ranges) for x, _ in INTERNET)


def covered(whole, ranges):
    """Every address of whole is in some range."""
    family, at, last = whole
    for r in sorted(x for x in ranges if x[0] == family):
        if r[1] > at:
            return False
        at = max(at, r[2] + 1)
        if at > last:
            return True
    return False
