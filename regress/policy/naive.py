#!/usr/bin/env python3
"""The judge: a slow and plain evaluator of policies, written from policy.md.

It shares nothing with the engine.  Sets are compared address by address,
nodes pair by pair.  Called as a program it speaks the runner's protocol
(README): one JSON object a line in, one a line out.

Section numbers in the comments are those of policy.md.  A comment that begins
"Open:" marks a place where neither the text nor a capture decides.
"""

import json
import sys

sys.dont_write_bytecode = True

import lexis
import reading
import trials
from lexis import Fault, inside, is_self, overlap
from nodes import ANY4, ANY6, INTERNET, TAILNET, Node, covers_internet, \
    hits, keeps, routes_hit

FORWARDINGS = {"accept": True, "allowAgentForwarding": True,
               "allowLocalPortForwarding": True,
               "allowRemotePortForwarding": True}
HOLD = {"holdAndDelegate": "https://unused/machine/ssh/action/$SRC_NODE_ID"
        "/to/$DST_NODE_ID?local_user=$LOCAL_USER"}

FILE_SHARING = "https://tailscale.com/cap/file-sharing"
SSH_CAP = "https://tailscale.com/cap/ssh"
IS_ADMIN = "https://tailscale.com/cap/is-admin"
IS_OWNER = "https://tailscale.com/cap/is-owner"
FUNNEL = ("funnel",
          "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000",
          "https://tailscale.com/cap/warn-funnel-no-https")
COMPANIONS = (("tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer"),
              ("tailscale.com/cap/relay", "tailscale.com/cap/relay-target"))


class Rule:
    """One filter rule before reduction.

    src: ranges; strings: SrcIPs.  A network rule has dst, a list of
    (ranges, string, first port, last port) and proto; a capability rule has
    caps, a list of ([(range, string)], CapMap), and capdst, the ranges
    that count for peers and routes.  hidden: steers peers only.
    """

    def __init__(self, src, strings, dst=None, proto=None, caps=None,
                 capdst=(), hidden=False):
        self.src = src
        self.strings = strings
        self.dst = dst
        self.proto = proto
        self.caps = caps
        self.capdst = capdst
        self.hidden = hidden
        self.sources = {}
        self.targets = {}

    def destinations(self):
        if self.caps is None:
            return [r for d in self.dst for r in d[0]]
        return self.capdst


class Tailnet:
    """A policy, the users and the nodes, and every question about them."""

    def __init__(self, policy, users, nodes):
        self.policy = policy
        self.users = users
        by_id = {u["id"]: u for u in users}
        self.nodes = sorted((Node(n, by_id) for n in nodes),
                            key=lambda n: n.id)
        self.memo = {}
        self.named = {}
        self.compiled = {}

    # ---- 4: aliases ------------------------------------------------------

    def members(self, alias):
        """The nodes that an identity alias names, None for other kinds."""
        key = (alias.kind, alias.text)
        if key not in self.named:
            self.named[key] = self.members_afresh(alias)
        return self.named[key]

    def members_afresh(self, alias):
        kind, text = alias.kind, alias.text
        untagged = [n for n in self.nodes if not n.tagged and n.user]
        if kind == "user":
            ids = [u["id"] for u in reading.find_users(self.users, text)]
            return [n for n in untagged if n.user in ids]
        if kind == "group":
            ids = [u["id"] for name in self.policy.groups.get(text, ())
                   for u in reading.find_users(self.users, name)]
            # Open: order of a group's nodes; by registration here.
            return [n for n in untagged if n.user in ids]
        if kind == "tag":
            return [n for n in self.nodes if text in n.tags]
        if kind == "domain":
            d = lexis.domain_of(alias)
            return [n for n in untagged if domain_of_user(n.owner) == d]
        if kind != "autogroup":
            return None
        if text in ("autogroup:member", "autogroup:members"):
            return untagged
        if text == "autogroup:tagged":
            return [n for n in self.nodes if n.tagged]
        if text == "autogroup:owner":
            return [n for n in untagged if n.owner["role"] == "owner"]
        if text == "autogroup:admin":
            return [n for n in untagged
                    if n.owner["role"] in ("owner", "admin")]
        if text in reading.ROLES:
            return []           # roles that this server does not give
        return None

    def resolve(self, alias):
        """[(range, string)] of an alias as a source; self is never here."""
        if alias.text in self.memo:
            return self.memo[alias.text]
        self.memo[alias.text] = out = self.resolve_afresh(alias)
        return out

    def resolve_afresh(self, alias):
        nodes = self.members(alias)
        if nodes is not None:
            return [a for n in nodes for a in n.addresses()]
        if alias.kind == "prefix":
            return [(alias.prefix.range, alias.prefix.short)]
        if alias.kind == "host":
            p = self.policy.hosts[alias.text]
            return [(p.range, p.short)]
        if alias.kind == "any":
            out = list(TAILNET)
            for n in self.nodes:
                for r in n.routes:
                    if (r.range, r.short) not in out:
                        out.append((r.range, r.short))
            return out
        if alias.text == "autogroup:danger-all":
            return [(ANY4.range, "*"), (ANY6.range, "*")]
        if alias.text == "autogroup:internet":
            return list(INTERNET)
        return []

    def resolve_dst(self, alias):
        """[(ranges, string)] as a destination of DstPorts: "*" is itself."""
        if alias.kind == "any":
            return [((ANY4.range, ANY6.range), "*")]
        return [((r,), s) for r, s in self.resolve(alias)]

    def union(self, aliases):
        return [x for a in aliases for x in self.resolve(a)]

    # ---- 5: rules --------------------------------------------------------

    def rules(self, node):
        """All rules of a node before merging, in the service's order."""
        if node.id in self.compiled:
            return self.compiled[node.id]
        p = self.policy
        out = []
        for i, g in enumerate(p.grants or []):
            out += self.grant_rules(("grant", i), g, node)
        for i, acl in enumerate(p.acls or []):
            out += self.acl_rules(("acl", i), acl, node)
        if p.grants is None and p.acls is None:
            out += self.acl_rules("open", OPEN, node)
        self.compiled[node.id] = out
        return out

    def acl_rules(self, key, acl, node):
        """5.1.2: a rule per destination, autogroup:self as told there."""
        if not acl.src or not acl.dst:
            return []
        order = []
        for alias, ranges in acl.dst:
            for seen in order:
                if seen[0].text == alias.text:
                    seen[1].extend(ranges)
                    break
            else:
                order.append((alias, list(ranges)))
        order.sort(key=lambda d: rank(d[0]))
        if any(a.kind != "autogroup" for a, _ in order):
            order = [d for d in order if not is_self(d[0])] + \
                [d for d in order if is_self(d[0])]
        out = []
        for alias, ranges in order:
            ports = [(acl.proto, ranges)]
            if is_self(alias):
                out += self.self_rules(acl.src, ports, [], node)
            else:
                out += self.plain_rules((key, alias.text), acl.src, [alias],
                                        ports, [])
        return out

    def grant_rules(self, key, g, node):
        if not g.src or not g.dst:
            return []
        ports = by_protocol(g.ip)
        if g.via:
            return self.via_rules(g, ports, node)
        out = []
        others = [a for a in g.dst if not is_self(a)]
        if others:
            out += self.plain_rules(key, g.src, others, ports, g.app)
        # Open: place of self among other destinations of one grant; last,
        # as in an ACL.
        for _ in [a for a in g.dst if is_self(a)][:1]:
            out += self.self_rules(g.src, ports, g.app, node)
        return out

    def plain_rules(self, key, src, dst, ports, app):
        """Rules that are the same on every node."""
        if key in self.memo:
            return self.memo[key]
        sources = self.union(src)
        strings = srcips(sources)
        ranges = [r for r, _ in sources]
        out = []
        if ranges:
            for proto, wanted in ports:
                rows = [(r, s, lo, hi) for a in dst
                        for r, s in self.resolve_dst(a)
                        for lo, hi in wanted]
                if rows:
                    out.append(Rule(ranges, strings, rows, proto))
        if app:
            out += self.app_rules(app, self.apart(src), self.apart(dst))
        self.memo[key] = out
        return out

    def apart(self, aliases):
        """[(as sources, as Dsts of a CapGrant)], one for each alias.  "*" is
        the tailnet's ranges and the routes in SrcIPs and for peers and
        routes (4.1), but on the wire Dsts come of the ranges alone: the
        captures show no route there, on no router."""
        out = []
        for a in aliases:
            found = self.resolve(a)
            out.append((found, TAILNET if a.kind == "any" else found))
        return out

    @staticmethod
    def app_rules(app, sources, targets):
        """9: the rule itself and its companions, which point back.  sources
        and targets as apart() makes them."""
        capmap = dict(app)

        def one(from_, to, caps):
            strings = [x for found, _ in from_ for x in found]
            return Rule([r for r, _ in strings], srcips(strings),
                        caps=[(dsts, caps) for _, dsts in to],
                        capdst=[r for found, _ in to for r, _ in found])

        out = [one(sources, targets, capmap)]
        for name, companion in COMPANIONS:
            if name in capmap and any(found for found, _ in targets):
                out.append(one(targets, sources, {companion: None}))
        return out

    def self_rules(self, src, ports, app, node):
        """7: only for an untagged node, among the devices of its user."""
        if node.tagged or not node.user:
            return []
        devices = [n for n in self.nodes if n.user == node.user]
        allowed = self.union(src)
        covered = [n for n in devices if hits(n, [r for r, _ in allowed])]
        if not covered:
            return []
        sources = [a for n in covered for a in n.addresses()]
        targets = [n.addresses() for n in devices]
        ranges, strings = [r for r, _ in sources], srcips(sources)
        out = []
        for proto, wanted in ports:
            rows = [((r,), s, lo, hi) for t in targets for r, s in t
                    for lo, hi in wanted]
            out.append(Rule(ranges, strings, rows, proto))
        if app:
            out += self.app_rules(
                app, [(n.addresses(), n.addresses()) for n in covered],
                [(t, t) for t in targets])
        return out

    def via_dst(self, g, alias):
        """A destination of a via grant.  Open: "*" of one that has only app;
        as in a CapGrant (4.1), which is not the internet."""
        if g.ip:
            return self.resolve_dst(alias)
        return [((r,), s) for r, s in self.resolve(alias)]

    def via_rules(self, g, ports, node):
        """8: only on nodes with a via tag."""
        if not any(a.text in node.tags for a in g.via):
            return []
        sources = self.union(g.src)
        if not sources:
            return []
        rows = []
        for a in g.dst:
            if self.members(a) is not None or is_self(a):
                # identities drop out, also where a wide route holds them
                continue
            if a.text == "autogroup:internet":
                if node.is_exit:
                    rows += self.resolve_dst(a)
                continue
            hit = [(ranges, s) for ranges, s in self.via_dst(g, a)
                   if routes_hit(node, ranges)]
            if a.kind == "any" and not g.ip:
                # Open: nothing is sent, so it is nobody's but the node's.
                hit = [((r,), s) for r, s in node.addresses() if hit]
            rows += hit
        if not rows:
            return []
        ranges, strings = [r for r, _ in sources], srcips(sources)
        if not ports:
            # only app: nothing on the wire, but the pair become peers
            return [Rule(ranges, strings, [(r, s, 0, 65535)
                                           for r, s in rows], hidden=True)]
        return [Rule(ranges, strings, [(r, s, lo, hi) for r, s in rows
                                       for lo, hi in wanted], proto)
                for proto, wanted in ports]

    # ---- 5.5, 6: what a node receives ------------------------------------

    def filter(self, node):
        out = []
        place = {}
        for rule in self.rules(node):
            if rule.hidden:
                continue
            if rule.caps is not None:
                out.append((rule, None))
                continue
            key = (tuple(rule.strings), rule.proto)
            if key not in place:
                place[key] = []
                out.append((rule, place[key]))
            place[key].extend(rule.dst)
        wire = []
        for rule, rows in out:
            if rule.caps is not None:
                w = self.reduced_caps(rule, node)
            else:
                w = self.reduced_ports(rule, rows, node)
            if w is not None:
                wire.append(w)
        return wire

    @staticmethod
    def reduced_ports(rule, rows, node):
        kept = [{"IP": s, "Ports": {"First": lo, "Last": hi}}
                for ranges, s, lo, hi in rows
                if any(keeps(node, r) for r in ranges)]
        if not kept:
            return None
        wire = {"SrcIPs": list(rule.strings), "DstPorts": kept}
        if rule.proto is not None:
            wire["IPProto"] = [rule.proto]
        return wire

    @staticmethod
    def reduced_caps(rule, node):
        """6, last paragraph.  Ranges come apart into prefixes, for a CapGrant
        takes nothing else.  Open: order beyond v4 before v6."""
        caps = []
        for dsts, capmap in rule.caps:
            out = []
            for r, _ in dsts:
                for p in lexis.split_range(r):
                    out += [o for o in node.own if inside(o.range, p.range)]
                    if any(overlap(p.range, x.range) for x in node.routes):
                        out.append(p)
            texts = []
            for family in (4, 6):
                for p in out:
                    if p.family == family and p.text not in texts:
                        texts.append(p.text)
            if texts:
                caps.append({"Dsts": texts, "CapMap": capmap})
        if not caps:
            return None
        return {"SrcIPs": list(rule.strings), "CapGrant": caps}

    # ---- 10: peers and routes --------------------------------------------

    @staticmethod
    def is_source(rule, node):
        """S contains an address of the node or overlaps a route of it."""
        known = rule.sources.get(node.id)
        if known is None:
            known = hits(node, rule.src) or routes_hit(node, rule.src)
            rule.sources[node.id] = known
        return known

    @staticmethod
    def is_target(rule, node):
        known = rule.targets.get(node.id)
        if known is None:
            t = rule.destinations()
            known = hits(node, t) or routes_hit(node, t) or \
                node.is_exit and covers_internet(t)
            rule.targets[node.id] = known
        return known

    def are_peers(self, a, b):
        """10.1.  By the letter the rules of both count in both directions,
        so a via rule that is compiled for a may also make a and b peers by
        b's routes.  Open: no capture tells."""
        if a is b:
            return False
        pair = self.rules(a) + self.rules(b)
        return any(self.is_source(r, x) and self.is_target(r, y)
                   for r in pair for x, y in ((a, b), (b, a)))

    def primary(self, route):
        """10.2: who serves a route for everybody."""
        for n in self.nodes:
            if n.online and any(r.text == route.text for r in n.routes):
                return n
        return None

    def shown_routes(self, viewer, peer):
        """10.3: the routes of peer that viewer gets to see."""
        include, exclude, by_primary = self.via_effects(viewer, peer)
        shown = []
        for r in peer.routes + peer.exits:
            text = r.text
            if r.is_exit:
                candidate = True
            else:
                candidate = self.primary(r) is peer
            if candidate and text not in exclude and \
                    self.may_use(viewer, r):
                shown.append(r)
            elif text in include and (text not in by_primary or candidate):
                shown.append(r)
            elif not r.is_exit and candidate and \
                    any(v.text == text for v in viewer.routes):
                shown.append(r)
        return shown

    def via_effects(self, viewer, peer):
        """10.3 step 2: (include, exclude, use-primary), sets of texts.
        Open: a route that one grant includes and another excludes stands in
        both sets, and then inclusion wins (step 4 comes after step 3)."""
        include, exclude = set(), set()
        for g in self.policy.grants or []:
            if not g.via or not g.dst or \
                    not hits(viewer, [r for r, _ in self.union(g.src)]):
                continue
            tags = [a.text for a in g.via]
            for r in peer.routes + peer.exits:
                if not self.grant_covers(g, r):
                    continue
                first = [n for n in self.nodes
                         if any(t in n.tags for t in tags)
                         and any(x.text == r.text
                                 for x in n.routes + n.exits)][:1]
                # include, unless somebody else was first: then exclude
                if first == [peer]:
                    include.add(r.text)
                else:
                    exclude.add(r.text)
        by_primary = set()
        if include or exclude:
            for r in peer.routes + peer.exits:
                if self.plainly_granted(viewer, r):
                    by_primary.add(r.text)
                    exclude.discard(r.text)
        return include, exclude, by_primary

    def grant_covers(self, g, route):
        """Does a destination of a via grant overlap a route?  Open: "*" and
        exit routes.  10.3 names autogroup:internet alone; but by 8 what is
        granted is reached only by way of the tags, and "*" is the internet
        too: without this an untagged exit node could be used all the same."""
        for a in g.dst:
            if self.members(a) is not None or is_self(a):
                continue
            found = [r for ranges, _ in self.via_dst(g, a)
                     for r in ranges]
            if route.is_exit:
                if covers_internet(found):
                    return True
            elif a.text != "autogroup:internet" and \
                    any(overlap(route.range, r) for r in found):
                return True
        return False

    def plainly_granted(self, viewer, route):
        """A grant without via, or an ACL, gives viewer the route.
        Open: an exit route counts only where the internet is granted."""
        for dst in self.plain_destinations(viewer):
            if route.is_exit:
                if covers_internet(dst):
                    return True
            elif any(overlap(route.range, r) for r in dst):
                return True
        return False

    def plain_destinations(self, viewer):
        """For each grant and ACL with viewer among its sources, the ranges
        of its destinations."""
        key = ("granted", viewer.id)
        if key in self.memo:
            return self.memo[key]
        found = []
        rules = [(g.src, g.dst) for g in self.policy.grants or []
                 if not g.via]
        rules += [(r.src, [a for a, _ in r.dst])
                  for r in self.policy.acls or []]
        for src, dst in rules:
            if not hits(viewer, [r for r, _ in self.union(src)]):
                continue
            ranges = []
            for a in dst:
                if not is_self(a):
                    ranges += [r for x, _ in self.resolve_dst(a)
                               for r in x]
                elif not viewer.tagged:
                    ranges += [r for n in self.nodes
                               if n.user == viewer.user
                               for r, _ in n.addresses()]
            found.append(ranges)
        self.memo[key] = found
        return found

    def may_use(self, viewer, route):
        """10.3 step 3, by the rules compiled for the viewer (Open: those of
        the peer, which may hold via rules, are not looked at)."""
        for rule in self.rules(viewer):
            s, t = rule.src, rule.destinations()
            if route.is_exit:
                # the third reading of the text: only with the internet
                if hits(viewer, s) and covers_internet(t):
                    return True
                continue
            in_s = any(overlap(route.range, r) for r in s)
            in_t = any(overlap(route.range, r) for r in t)
            if in_t and (hits(viewer, s) or routes_hit(viewer, s)):
                return True
            if in_s and (hits(viewer, t) or routes_hit(viewer, t)):
                return True
            if in_s and viewer.is_exit and covers_internet(t):
                return True
        return False

    # ---- 12: capabilities ------------------------------------------------

    def attributes(self, node):
        out = set()
        p = self.policy
        if p.random_port:
            out.add("randomize-client-port")
        if p.no_ipv4:
            out.add("disable-ipv4")
        for entry in p.attrs:
            target = []
            for a in entry.target:
                # "*" without routes: it contains every node anyway
                target += TAILNET if a.kind == "any" else self.resolve(a)
            if hits(node, [r for r, _ in target]):
                for attr in entry.attr:
                    out.update(FUNNEL if attr == "funnel" else [attr])
        return out

    def self_caps(self, node):
        keys = {FILE_SHARING, SSH_CAP}
        role = node.owner["role"] if node.owner else ""
        if role in ("owner", "admin"):
            keys.add(IS_ADMIN)
        if node.tagged or role == "owner":
            keys.add(IS_OWNER)
        keys |= self.attributes(node)
        return {k: None for k in sorted(keys)}

    def check_attr_users(self):
        """12.1: a user that a nodeAttrs target names must exist."""
        for entry in self.policy.attrs:
            for a in entry.target:
                if a.kind == "user" and \
                        not reading.find_users(self.users, a.text):
                    raise Fault("nodeAttrs target: user not found: token "
                                + lexis.quote(a.text), loose=True)

    # ---- the whole answer ------------------------------------------------

    def answer(self):
        nodes = {}
        lost4 = {n.id for n in self.nodes
                 if "disable-ipv4" in self.attributes(n)}
        for n in self.nodes:
            own = [p.text for p in n.own
                   if not (p.family == 4 and n.id in lost4)]
            everything = n.routes + n.exits
            peers = {}
            for peer in self.nodes:
                if self.are_peers(n, peer):
                    peers[peer.name] = self.view(n, peer, lost4)
            nodes[n.name] = {
                "filter": self.filter(n),
                "ssh": self.ssh(n),
                "caps": self.self_caps(n),
                "addrs": own,
                # 10.4: all approved routes, primary or not
                "allowed": own + [r.text for r in everything],
                "primary": [r.text for r in n.routes
                            if self.primary(r) is n],
                "peers": peers,
                "approves": [r.text for r in n.advertised
                             if self.approves(n, r)],
                "tags": list(n.tags),
            }
        return nodes

    def view(self, viewer, peer, lost4):
        own = [p.text for p in peer.own
               if not (p.family == 4 and (peer.id in lost4
                                          or viewer.id in lost4))]
        shown = self.shown_routes(viewer, peer)
        caps = {}
        if any(r.text == "0.0.0.0/0" for r in shown):
            caps["suggest-exit-node"] = None
        return {"addrs": own,
                "allowed": own + [r.text for r in shown],
                "primary": [r.text for r in shown if not r.is_exit],
                "caps": caps,
                "tags": list(peer.tags),
                "online": peer.online}

    # ---- 14: auto approval -----------------------------------------------

    def approves(self, node, route):
        def listed(who):
            return any(node in self.members(a) for a in who)
        if route.is_exit:
            return listed(self.policy.approve_exit)
        return any(inside(route.range, prefix.range) and listed(who)
                   for prefix, who in self.policy.approve_routes)

    # ---- 11: ssh ---------------------------------------------------------

    def ssh(self, node):
        checks, accepts = [], []
        for rule in self.policy.ssh:
            out = self.ssh_rules(rule, node)
            (checks if rule.action == "check" else accepts).extend(out)
        return checks + accepts

    def ssh_rules(self, rule, node):
        found = []
        for a in rule.src:
            for n in self.members(a) or []:
                if n not in found:
                    found.append(n)
        if not found or not rule.dst:
            return []
        tagged_too = any(a.text == "autogroup:tagged" for a in rule.src)

        def addresses(nodes):
            # 11.4.6: by autogroup:tagged a node comes once for each tag.
            # Open: by named tags; once here.
            out = []
            for n in nodes:
                times = len(n.tags) if n.tagged and tagged_too else 1
                out += [s for _, s in n.addresses()] * times
            return [{"nodeIP": s} for s in
                    sorted(out, key=lambda s: s.encode())]

        common = {}
        locals_ = []
        for u in rule.users:
            domain = reading.localpart_domain(u)
            if u == "autogroup:nonroot":
                common["*"] = "="
            elif domain is not None:
                locals_.append(domain)
            elif u != "root":
                common[u] = u
        common["root"] = "root" if "root" in rule.users else ""

        def made(nodes, usermap):
            w = {"principals": addresses(nodes), "sshUsers": usermap,
                 "action": dict(HOLD if rule.action == "check"
                                else FORWARDINGS)}
            if rule.env:
                w["acceptEnv"] = list(rule.env)
            return w

        def of_user(user):
            """emit(U)"""
            nodes = [n for n in found if n.user == user["id"]
                     and not n.tagged]
            if not nodes:
                return []
            out = [made(nodes, common)]
            if domain_of_user(user) in locals_:
                part = user["email"].rpartition("@")[0]
                out.append(made(nodes, {part: part}))
            return out

        out = []
        others = [a for a in rule.dst if not is_self(a)]
        if len(others) < len(rule.dst) and node.owner is not None:
            out += of_user(node.owner)
        if any(node in (self.members(a) or []) for a in others):
            if not locals_:
                out.append(made(found, common))
            else:
                for user in sorted(self.users, key=lambda u: u["id"]):
                    out += of_user(user)
                tagged = [n for n in found if n.tagged]
                if tagged:
                    out.append(made(tagged, common))
        elif others and locals_ and node in found:
            # "self access".  Open: whether it needs the other destinations
            # to name any node; not here.
            if node.tagged:
                out.append(made([node], common))
            else:
                out += of_user(node.owner)
        return out


# ---- small questions -----------------------------------------------------

def srcips(sources):
    """5.2: distinct strings in byte order; "*" swallows the rest."""
    strings = {s for _, s in sources}
    if "*" in strings:
        return ["*"]
    return sorted(strings, key=lambda s: s.encode())


def rank(alias):
    """5.3: kinds of destinations within one ACL."""
    return {"any": 0, "user": 2, "domain": 2, "group": 3}.get(alias.kind, 1)


def by_protocol(ip):
    """5.1.3: [(protocol, ranges)] by first appearance."""
    out = []
    for proto, ranges in ip:
        for seen in out:
            if seen[0] == proto:
                seen[1].extend(ranges)
                break
        else:
            out.append((proto, list(ranges)))
    return out


def domain_of_user(user):
    return user["email"].rpartition("@")[2] if "@" in user["email"] else None


OPEN = reading.Record(src=[lexis.parse_alias("*")],
                      dst=[(lexis.parse_alias("*"), [(0, 65535)])],
                      proto=None)


# ---- the protocol --------------------------------------------------------

def evaluate(case):
    """The runner's answer to one case, see README."""
    try:
        policy = reading.decode(case["policy"])
        reading.check(policy, case["domains"], case["users"])
        tailnet = Tailnet(policy, case["users"], case["nodes"])
        tailnet.check_attr_users()
        trials.run(tailnet)
    except Fault as f:
        answer = {"ok": False, "message": f.message, "nodes": {}}
        if f.loose:
            answer["loose"] = True
        return answer
    return {"ok": True, "nodes": tailnet.answer()}


def main():
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(evaluate(json.loads(line))), flush=True)


sys.setrecursionlimit(10000)

if __name__ == "__main__":
    main()
