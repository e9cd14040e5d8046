#!/usr/bin/env python3
"""Random policies and topologies, one for each seed.

gen.py SEED prints the runner's input for one seed.  Most policies are valid
and have rules that hit; a quarter is not, mostly by one fault, and 2,000 seeds
in a row meet every fault of faults.py.
"""

import json
import random
import sys

sys.dont_write_bytecode = True

import faults
import lexis
import naive
import reading
import trials

NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon",
         "kim", "lea")
DOMAINS = ("tail.test", "corp.test", "else.test")
TAGS = ("tag:web", "tag:gw", "tag:ci", "tag:core", "tag:Edge", "tag:lab-1")
ROUTES = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32",
          "10.2.0.0/16", "192.168.0.0/16", "192.168.7.0/24", "172.16.0.0/12",
          "172.20.5.0/24", "fd00:5::/48", "fd00:5:0:1::/64",
          "2001:db8:7::/48", "8.8.8.0/24")
WIDE = ("100.64.0.0/10", "100.96.0.0/11", "100.80.0.0/12",
        "fd7a:115c:a1e0::/48", "fd7a:115c:a1e0:b1a::/64", "100.0.0.0/8")
PREFIXES = ROUTES + ("10.1.2.128/25", "10.0.0.0/9", "192.168.7.9",
                     "1.1.1.1", "2001:db8:7:1::/64", "fd00:5:0:1::9",
                     "198.51.100.0/24", "172.20.0.0/16",
                     "10.44.9.9/16", "FD00:9::/48")
PORTS = ("*", "*", "22", "80", "443", "80,443", "8000-8100", "22,80-90",
         "0-1023", "53")
ATTRS = ("funnel", "disable-ipv4", "nextdns:abc", "nextdns:no-device-info",
         "suggest-exit-node", "acme.test/attr?x=1", "drive:share", "odd one",
         "randomize-client-port")
APPS = ("tailscale.com/cap/drive", "tailscale.com/cap/relay",
        "tailscale.com/cap/webui", "tailscale.com/cap/kubernetes",
        "acme.test/cap/x", "acme.test/a/deep/path")
VALUES = ([], [{}], [{"access": "rw", "shares": ["*"]}], ["word", 1, 2.5],
          [{"a": {"b": [None, True]}}], [{"n": -7}, {"n": 12345678901}])
LOGINS = ("root", "ubuntu", "autogroup:nonroot", "web-1", "tag:web",
          "localpart:ann")


ROLES = reading.ROLES
PERIODS = ("always", "1h", "12h30m", "0s", "168h", "90s", "0", "-0", "+1h",
           "1.5h", "1h0.25s", ".5m", "1.m", "2h3m4s5ms6us7ns", "1\u00b5s")

# What a seed makes: by its remainder.  The rest is meant to be valid.
KINDS = {3: "fault", 9: "fault", 13: "fault", 7: "text", 17: "two"}
FAULTS = [k for k in range(20) if KINDS.get(k) == "fault"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random("policy %d" % seed)
        self.tree = {}

    def chance(self, p):
        return self.r.random() < p

    def some(self, items, low, high):
        """low to high different items, in random order."""
        items = list(items)
        n = min(len(items), self.r.randint(low, high))
        return self.r.sample(items, n)

    # ---- the tailnet

    def topology(self):
        r = self.r
        size = r.choices(((2, 5), (5, 9), (9, 16), (16, 30)),
                         (45, 36, 15, 4))[0]
        count = r.randint(*size)
        self.domains = list(DOMAINS[:r.randint(1, 2)])
        self.users = []
        for i in range(r.randint(1, min(12, 1 + count))):
            name = NAMES[i]
            email = "%s@%s" % (name, r.choices(DOMAINS, (6, 3, 1))[0])
            if self.chance(0.07):
                email = ""
            self.users.append({
                "id": i + 1, "name": name, "email": email,
                "role": "owner" if i == 0 else
                r.choices(("member", "admin"), (4, 1))[0]})
        r.shuffle(self.users)
        self.tags = self.some(TAGS, 1, 4)
        self.wide = self.chance(0.12)
        # with via: few routes and many routers, so that they compete
        self.with_via = self.chance(0.22)
        self.pool = self.some(ROUTES, 2, 3) if self.with_via else ROUTES
        self.nodes = []
        used = set()
        for i in range(count):
            self.nodes.append(self.node(i + 1, used))
        # the rank has nothing to do with the place in the list
        ids = [n["id"] for n in self.nodes]
        r.shuffle(ids)
        for n, i in zip(self.nodes, ids):
            n["id"] = i

    def node(self, number, used):
        r = self.r
        while True:
            v4 = lexis.parse_address("100.64.0.0")[1] + r.randrange(1 << 22)
            text = lexis.address_text(4, v4)
            if text in used or text.startswith("100.100.100.") or \
                    text.startswith(("100.115.92.", "100.115.93.")):
                continue
            used.add(text)
            break
        v6 = lexis.parse_address("fd7a:115c:a1e0::")[1] + \
            (r.randrange(1, 1 << 16) if self.chance(0.3)
             else r.randrange(1 << 16, 1 << 48)) * 256 + number
        n = {"id": number, "name": "n%d" % number, "tags": [],
             "ipv4": text, "ipv6": lexis.address_text(6, v6), "user": 0,
             "routes": [], "approved": [], "online": True}
        via = self.with_via
        if self.chance(0.6 if via else 0.4):
            n["tags"] = self.some(self.tags, 1, 2)
        if not n["tags"] or self.chance(0.2):
            n["user"] = r.choice(self.users)["id"]
        if self.chance(0.55 if via else 0.35):
            pool = tuple(self.pool) + (WIDE * 2 if self.wide else ())
            n["routes"] = sorted(set(self.some(pool, 1, 3)))
            n["approved"] = [x for x in n["routes"]
                             if self.chance(0.9 if via else 0.75)]
        if self.chance(0.15):
            n["routes"] = n["routes"] + ["0.0.0.0/0", "::/0"]
            if self.chance(0.7):
                n["approved"] = n["approved"] + ["0.0.0.0/0", "::/0"]
        if not self.with_via and self.chance(0.06):
            n["online"] = False
        return n

    # ---- words

    def user(self):
        u = self.r.choice(self.users)
        return u["email"] or u["name"] + "@"

    def group(self):
        return self.r.choice(sorted(self.groups)) if self.groups \
            else "autogroup:member"

    def address(self):
        n = self.r.choice(self.nodes)
        return n[self.r.choice(("ipv4", "ipv6"))]

    def identity(self):
        kind = self.r.choices(("user", "group", "tag", "member", "tagged",
                               "role", "domain"),
                              (5, 4, 5, 3, 2, 1, 1))[0]
        if kind == "user":
            return self.user()
        if kind == "group":
            return self.group()
        if kind == "tag":
            return self.r.choice(self.tags)
        if kind == "role":
            return self.role()
        if kind == "domain":
            return "user:*@" + self.r.choice(self.domains)
        return "autogroup:" + kind

    def role(self):
        """Mostly one that somebody has."""
        return self.r.choice(ROLES[:2] * 3 + ROLES)

    def other_name(self):
        """A user by its name, also where others go by the e-mail."""
        u = self.r.choice(self.users)
        return self.r.choice((u["name"], u["email"] or u["name"])) + "@"

    def keeper(self):
        """Who may own a tag or have routes approved."""
        return self.r.choice((self.user(), self.user(), self.group(),
                              self.group(), self.r.choice(self.tags),
                              self.r.choice(self.tags),
                              self.r.choice(self.tags), self.role(),
                              self.r.choice(("autogroup:member",
                                             "autogroup:tagged"))))

    def place(self):
        """An alias by address."""
        kind = self.r.choices(("address", "prefix", "host", "route"),
                              (3, 3, 3, 3))[0]
        if kind == "address":
            return self.address()
        if kind == "host" and self.hosts:
            return self.r.choice(sorted(self.hosts))
        routes = [x for n in self.nodes for x in n["routes"]
                  if not x.endswith("/0")]
        if kind == "route" and routes:
            return self.r.choice(routes)
        return self.r.choice(PREFIXES + (WIDE if self.wide else ()))

    def source(self):
        kind = self.r.choices(("*", "identity", "place", "danger"),
                              (3, 10, 3, 0.2))[0]
        if kind == "danger":
            return "autogroup:danger-all"
        return {"*": lambda: "*", "identity": self.identity,
                "place": self.place}[kind]()

    def destination(self):
        kind = self.r.choices(("*", "identity", "place", "internet"),
                              (2, 8, 5, 1))[0]
        if kind == "internet":
            return "autogroup:internet"
        return {"*": lambda: "*", "identity": self.identity,
                "place": self.place}[kind]()

    def words(self, make, low, high):
        """Different words."""
        out = []
        for _ in range(self.r.randint(low, high)):
            w = make()
            if w not in out:
                out.append(w)
        return out

    def self_source(self):
        return self.r.choices((self.user(), self.group(), "autogroup:member",
                               "autogroup:members"), (4, 4, 4, 1))[0]

    def hostport(self, host, ports):
        """IPv6 in brackets, mostly: the last colon decides anyway."""
        if ":" in host and lexis.parse_prefix(host) is not None and \
                self.chance(0.7):
            base, slash, length = host.partition("/")
            return "[%s]%s%s:%s" % (base, slash, length, ports)
        return "%s:%s" % (host, ports)

    # ---- sections

    def defs(self):
        t = self.tree
        self.groups = {}
        for name in self.some(("group:dev", "group:ops", "group:all",
                               "group:none"), 0, 4):
            members = self.words(self.user, 1, 4)
            if self.chance(0.05):
                members.append("nobody@tail.test")
            self.groups[name] = [] if name == "group:none" else members
        if self.groups or self.chance(0.5):
            t["groups"] = self.groups
        self.hosts = {}
        for name in self.some(("db", "lan", "site-b", "box6", "Cloud"), 0, 4):
            self.hosts[name] = self.r.choice(
                (self.address(), self.address(), self.r.choice(PREFIXES)))
        if self.hosts:
            t["hosts"] = self.hosts
        t["tagOwners"] = {}
        for tag in self.tags + (["tag:spare"] if self.chance(0.3) else []):
            t["tagOwners"][tag] = self.words(self.keeper, 0, 2)

    def acl(self):
        rule = {"action": "accept"}
        proto = self.r.choices(
            (None, "tcp", "udp", "icmp", "sctp", "17", "47", "TCP", "esp"),
            (75, 8, 6, 3, 2, 2, 1, 2, 1))[0]
        if proto is not None:
            rule["proto"] = proto

        def ports():
            if proto in ("icmp", "47", "esp"):
                return "*"
            return self.r.choice(PORTS)
        rule["src"] = self.words(self.source, 1, 3)
        rule["dst"] = self.words(
            lambda: self.hostport(self.destination(), ports()), 1, 4)
        if self.chance(0.04):
            everything = self.r.choice(("0.0.0.0/0", "::/0"))
            if self.chance(0.3):
                rule["src"] = [everything]
            else:
                rule["dst"].append(self.hostport(everything, ports()))
        if self.chance(0.15):
            rule["src"] = self.words(self.self_source, 1, 2)
            if self.chance(0.3):
                rule["src"] = ["*"]
            rule["dst"].insert(self.r.randrange(len(rule["dst"]) + 1),
                               "autogroup:self:" + ports())
            if self.chance(0.5):
                rule["dst"] = [d for d in rule["dst"]
                               if d.startswith("autogroup:")]
        return rule

    def ip(self):
        return self.r.choice(("*", "*", "22", "80", "443", "tcp:443",
                              "tcp:80-90", "tcp:*", "udp:53", "icmp:*",
                              "80,443", "6:8080", "udp:1000-2000",
                              "sctp:132"))

    def app(self):
        return {name: self.r.choice(VALUES) for name in self.some(APPS, 1, 2)}

    def grant(self):
        g = {"src": self.words(self.source, 1, 3),
             "dst": self.words(self.destination, 1, 3)}
        if self.with_via and self.chance(0.6):
            return self.via_grant(g)
        kind = self.r.choices(("ip", "app", "both"), (6, 3, 1))[0]
        if kind != "app":
            g["ip"] = self.words(self.ip, 1, 3)
        if kind != "ip":
            g["app"] = self.app()
            g["dst"] = [d for d in g["dst"] if d != "autogroup:internet"] \
                or [self.identity()]
        if self.chance(0.15):
            g["src"] = self.words(self.self_source, 1, 2)
            g["dst"] = ["autogroup:self"]
        return g

    def via_grant(self, g):
        routers = [n for n in self.nodes if n["tags"] and n["approved"]]
        tags = [t for n in routers for t in n["tags"]] or self.tags
        routes = [x for n in routers for x in n["approved"]
                  if not x.endswith("/0") and x not in WIDE]
        g["via"] = self.words(lambda: self.r.choice(tags), 1, 2)
        dst = []
        for _ in range(self.r.randint(1, 2)):
            if self.chance(0.15):
                dst.append("autogroup:internet")
            elif self.chance(0.1):
                dst.append("*")
            elif routes and self.chance(0.8):
                dst.append(self.r.choice(routes))
            else:
                dst.append(self.r.choice(PREFIXES))
        g["dst"] = sorted(set(dst))
        g["ip"] = self.words(self.ip, 1, 2)
        if self.chance(0.1) and "autogroup:internet" not in g["dst"]:
            g["app"] = self.app()
            if self.chance(0.5):
                del g["ip"]
        return g

    def ssh(self):
        rule = {"action": self.r.choice(("accept", "accept", "check"))}
        if rule["action"] == "check" and self.chance(0.5):
            rule["checkPeriod"] = self.r.choice(PERIODS)
        src = self.words(lambda: self.r.choice(
            (self.user(), self.group(), self.r.choice(self.tags),
             "autogroup:member", "autogroup:tagged", self.role(),
             "user:*@" + self.r.choice(self.domains))), 1, 3)
        tagged = any(s.startswith("tag:") or s == "autogroup:tagged"
                     for s in src)
        kinds = ["autogroup:tagged"] + self.tags
        if not tagged:
            kinds += ["autogroup:member", "autogroup:self", "autogroup:self",
                      self.role()]
        rule["src"] = src
        rule["dst"] = self.words(lambda: self.r.choice(kinds), 1, 3)
        if self.chance(0.15):
            u = self.r.choice(self.users)
            names = [u["name"] + "@"] + [u["email"]] * (u["email"] != "")
            rule["src"] = self.words(lambda: self.r.choice(names), 1, 2)
            rule["dst"] = [self.r.choice(names)]
        logins = LOGINS + tuple("localpart:*@" + d for d in self.domains) * 2
        rule["users"] = self.words(lambda: self.r.choice(logins), 1, 3)
        if self.chance(0.2):
            rule["acceptEnv"] = self.r.choice((["TERM"], ["GIT_*", "**"],
                                               []))
        return rule

    def attr(self):
        target = self.words(lambda: self.r.choice(
            ("*", self.identity(), self.identity(), self.place())), 0, 2)
        known = {u["email"] or u["name"] + "@" for u in self.users}
        target = [a for a in target if "@" not in a or a in known
                  or a.startswith("user:")]
        # the text for a strange domain is known for ssh only
        entry = {"target": target}
        if self.chance(0.9):
            entry["attr"] = self.some(ATTRS, 1, 3)
        if self.chance(0.1):
            entry["ipPool"] = [self.r.choice(("100.81.0.0/16",
                                              "100.64.7.0/24"))]
        return entry

    def approvers(self):
        def who():
            return self.words(self.keeper, 0, 2)
        out = {"routes": {p: who() for p in self.some(
            ROUTES + ("0.0.0.0/0", "::/0") + (WIDE if self.wide else ()),
            1, 5)}}
        if self.chance(0.5):
            out["exitNode"] = who()
        return out

    def build(self):
        self.topology()
        self.defs()
        t = self.tree
        acls, grants = self.r.choices(((1, 0), (0, 1), (1, 1), (0, 0)),
                                      (35, 30, 27, 8))[0]
        if acls:
            t["acls"] = [self.acl() for _ in range(self.r.randint(
                0 if self.chance(0.1) else 1, 5))]
        if grants:
            t["grants"] = [self.grant() for _ in range(self.r.randint(1, 4))]
        if self.chance(0.45):
            t["ssh"] = [self.ssh() for _ in range(self.r.randint(1, 4))]
        if self.chance(0.35):
            t["nodeAttrs"] = [self.attr()
                              for _ in range(self.r.randint(1, 3))]
        if self.chance(0.4):
            t["autoApprovers"] = self.approvers()
        if self.chance(0.05):
            t["randomizeClientPort"] = self.chance(0.7)
        if self.chance(0.08):
            self.oddity()

    def oddity(self):
        """Legal, but seldom written."""
        t = self.tree
        kind = self.r.randrange(7)
        if kind == 0:
            faults.section(self, "acls").append(
                {"action": "accept", "src": [], "dst": ["*:*"]})
        elif kind == 1:
            faults.section(self, "acls").insert(
                0, {"action": "accept", "src": ["*"], "dst": []})
        elif kind == 2:
            faults.section(self, "grants").append(
                {"src": [], "dst": ["*"], "ip": ["*"]})
        elif kind == 3:
            faults.section(self, "ssh").append(
                {"action": "accept", "dst": [self.r.choice(self.tags)],
                 "users": ["root"], "acceptEnv": None, "checkPeriod": None})
        elif kind == 4:
            for section in ("acls", "grants", "ssh", "tests", "nodeAttrs",
                            "autoApprovers", "hosts"):
                if section not in t and self.chance(0.5):
                    t[section] = None
        elif kind == 5:
            faults.section(self, "grants").append(
                {"src": ["group:none"] if "group:none" in self.groups
                 else ["tag:spare"], "dst": ["*"], "app": self.app()})
            t["tagOwners"].setdefault("tag:spare", [])
        else:
            t["tests"] = []
            t["sshTests"] = []

    # ---- tests that hold, as the judge sees it

    def judge(self):
        policy = reading.decode(json.dumps(self.tree))
        return trials.Trial(
            naive.Tailnet(policy, self.users, self.nodes))

    def tests(self):
        judge = self.judge()
        out = []
        for _ in range(self.r.randint(1, 3)):
            t = {"src": self.r.choice((self.user(), self.group(),
                                       self.r.choice(self.tags),
                                       self.address(), self.other_name(),
                                       self.role(), "autogroup:tagged"))}
            proto = self.r.choice(("", "", "", "tcp", "udp", "6", "sctp"))
            if proto != "":
                t["proto"] = proto
            for _ in range(self.r.randint(1, 4)):
                host = self.r.choice((self.user(), self.group(),
                                      self.r.choice(self.tags),
                                      self.address(), self.address(),
                                      self.role(), self.other_name(),
                                      "autogroup:danger-all",
                                      "10.1.2.3", "1.1.1.1"))
                if self.hosts and self.chance(0.2):
                    host = self.r.choice(sorted(self.hosts))
                    if not lexis.parse_prefix(self.hosts[host]).single:
                        continue
                # Open: autogroup:self with a source that is no user
                if "@" in t["src"] and self.chance(0.1):
                    host = "autogroup:self"
                dst = self.hostport(host, self.r.choice(
                    ("22", "80", "443", "8080", "53", "9999")))
                try:
                    source = judge.source(t["src"])
                    ok = judge.allows(
                        reading.Record(proto=proto), source, dst)
                except lexis.Fault:
                    if not self.chance(0.03):
                        continue
                    ok = True
                if self.chance(0.02):
                    ok = not ok
                t.setdefault("accept" if ok else "deny", []).append(dst)
            if "accept" in t or "deny" in t:
                out.append(t)
        if out:
            self.tree["tests"] = out

    def sshtests(self):
        judge = self.judge()
        out = []
        for _ in range(self.r.randint(1, 3)):
            t = {"src": self.r.choice((self.user(), self.user(),
                                       self.group(), self.address(),
                                       self.r.choice(self.tags)))}
            dst = self.r.choice((self.user(), self.address(),
                                 self.r.choice(self.tags), self.role(),
                                 self.other_name(), "*",
                                 "autogroup:danger-all",
                                 "autogroup:member", "autogroup:tagged"))
            # Open: autogroup:self with a source that is more than one user
            if "@" in t["src"] and self.chance(0.2):
                dst = "autogroup:self"
            t["dst"] = [dst]
            try:
                source = judge.source(t["src"])
                nodes = judge.ssh_nodes(dst, source)
            except lexis.Fault:
                if self.chance(0.03):
                    t["deny"] = ["root"]
                    out.append(t)
                continue
            for login in self.some(("root", "ubuntu", "ann", "bob", "mallory",
                                    "web-1"), 1, 3):
                fits = []
                for kind in ("accept", "deny", "check"):
                    one = reading.Record(accept=[], deny=[], check=[])
                    setattr(one, kind, [login])
                    try:
                        for n in nodes:
                            judge.sshtest(one, source, n)
                        fits.append(kind)
                    except lexis.Fault:
                        pass
                if not fits or self.chance(0.02):
                    fits = ["accept"] if self.chance(0.1) else fits
                if fits:
                    t.setdefault(self.r.choice(fits), []).append(login)
            if len(t) > 2:
                out.append(t)
        if out:
            self.tree["sshTests"] = out

    # ---- the text

    def space(self):
        return self.r.choices(("", " ", "\n\t", " /* note, } */ ",
                               " // to the end \"\n"),
                              (60, 25, 10, 2, 3))[0]

    def render(self, v, top=False):
        s = self.space
        if isinstance(v, dict):
            parts = []
            for k, x in v.items():
                name = k
                if top and self.chance(0.03):
                    name = self.r.choice((k.upper(), k.lower(),
                                          k[:1] + "_" + k[1:]))
                parts.append("%s%s%s:%s%s%s" % (
                    s(), json.dumps(name), s(), s(), self.render(x), s()))
            return "{%s}" % self.join(parts)
        if isinstance(v, list):
            return "[%s]" % self.join(
                ["%s%s%s" % (s(), self.render(x), s()) for x in v])
        return json.dumps(v, ensure_ascii=self.chance(0.5))

    def join(self, parts):
        tail = "," + self.space() if parts and self.chance(0.1) else ""
        return ",".join(parts) + tail

    def input(self, text):
        return {"policy": text, "domains": self.domains, "users": self.users,
                "nodes": self.nodes}


def padded(maker, word):
    """A word with white space at one end or at both."""
    def space():
        return "".join(maker.some(lexis.SPACE, 0, 2))
    return space() + word + maker.r.choice(lexis.SPACE)


def pad(maker, tree):
    """White space around words, where 3.1 and 11.1 remove it."""
    for section, keys in (("acls", ("src",)), ("grants", ("src", "dst")),
                          ("ssh", ("src", "dst", "users", "action")),
                          ("nodeAttrs", ("target",)),
                          ("sshTests", ("src", "dst"))):
        for entry in tree.get(section) or []:
            for key in keys:
                words = entry.get(key)
                if not words or not maker.chance(0.04):
                    continue
                if isinstance(words, str):
                    entry[key] = padded(maker, words)
                else:
                    i = maker.r.randrange(len(words))
                    words[i] = padded(maker, words[i])


def make(seed):
    """The Maker of a seed, with its tree; no text yet."""
    m = Maker(seed)
    m.build()
    return m


def case(seed):
    """The runner's input of a seed."""
    m = make(seed)
    if m.chance(0.3):
        m.tests()
    if m.tree.get("ssh") and m.chance(0.4):
        m.sshtests()
    kind = KINDS.get(seed % 20)
    if kind == "fault":
        faults.spoil(m, seed // 20 * len(FAULTS) + FAULTS.index(seed % 20))
    elif kind == "two":
        faults.spoil_twice(m)
    else:
        pad(m, m.tree)
    keys = list(m.tree)
    m.r.shuffle(keys)
    m.tree = {k: m.tree[k] for k in keys}
    text = m.render(m.tree, top=True)
    if kind == "text":
        text = faults.spoil_text(m, text)
    return m.input(text)


if __name__ == "__main__":
    print(json.dumps(case(int(sys.argv[1]))))
