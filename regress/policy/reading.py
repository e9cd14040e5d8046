"""From a policy text to its sections, and every check that needs no node.

Two passes, as policy.md 16 orders them:
  decode()  the text in its own order: syntax, members, types, lexical forms;
  check()   what the words mean: acls, ssh, grants, nodeAttrs, tagOwners,
            autoApprovers, the shape of tests and of sshTests, ambiguous users.
The first fault ends the reading and is the one message.
"""

import re

import hujson
import lexis
from lexis import Fault, quote

TESTS_FAILED = "test(s) failed"

ROLES = ("autogroup:owner", "autogroup:admin", "autogroup:it-admin",
         "autogroup:network-admin", "autogroup:billing-admin",
         "autogroup:auditor", "autogroup:shared", "autogroup:members")
AUTOGROUPS = ("autogroup:internet", "autogroup:member", "autogroup:nonroot",
              "autogroup:tagged", "autogroup:self",
              "autogroup:danger-all") + ROLES


class Record:
    """A rule, an attribute entry or a test: just its named parts."""

    def __init__(self, **parts):
        self.__dict__.update(parts)


class Policy:
    def __init__(self):
        self.groups = {}        # name -> user texts
        self.hosts = {}         # name -> Prefix
        self.owners = {}        # tag -> Aliases
        self.acls = None        # None: the section is absent
        self.grants = None
        self.ssh = []
        self.approve_routes = []        # (Prefix, Aliases)
        self.approve_exit = []          # Aliases
        self.attrs = []
        self.tests = []
        self.sshtests = []
        self.random_port = False
        self.no_ipv4 = False


# ---- members and types ---------------------------------------------------

def type_fault(what, wanted):
    return Fault("%s must be %s" % (what, wanted), loose=True)


def fold(name):
    return name.lower().replace("_", "").replace("-", "")


def members(v, what, known, drop_notes=False):
    """The members of an object under their proper names, in text order."""
    if not isinstance(v, hujson.Object):
        raise type_fault(what, "an object")
    proper = {fold(k): k for k in known}
    out = {}
    for name, value in v:
        if drop_notes and name.startswith("#"):
            continue
        if fold(name) not in proper:
            raise Fault("unknown field: " + quote(name))
        key = proper[fold(name)]
        if key in out:
            raise Fault("duplicate field: " + quote(name), loose=True)
        out[key] = value
    return out


def mapping(v, what):
    """(key, value) pairs of an object whose names are data."""
    if v is None:
        return []
    if not isinstance(v, hujson.Object):
        raise type_fault(what, "an object")
    seen = set()
    for name, _ in v:
        if name in seen:
            raise Fault("duplicate field: " + quote(name), loose=True)
        seen.add(name)
    return list(v)


def listing(v, what):
    if v is None:
        return []
    if not isinstance(v, list) or isinstance(v, hujson.Object):
        raise type_fault(what, "a list")
    return v


def string(v, what):
    if v is None:
        return ""
    if not isinstance(v, str):
        raise type_fault(what, "a string")
    return v


def strings(v, what):
    """Open: null in a list; no string here, for 1 tells only that null in
    the place of a list means its absence."""
    out = []
    for x in listing(v, what):
        if x is None:
            raise type_fault(what, "a string")
        out.append(string(x, what))
    return out


def boolean(v, what):
    if v is None:
        return False
    if not isinstance(v, bool):
        raise type_fault(what, "true or false")
    return v


def aliases(v, what):
    return [lexis.parse_alias(lexis.trim(s)) for s in strings(v, what)]


# ---- decode --------------------------------------------------------------

SECTIONS = ("groups", "hosts", "tagOwners", "acls", "grants", "ssh",
            "autoApprovers", "nodeAttrs", "tests", "sshTests",
            "randomizeClientPort", "disableIPv4", "OneCGNATRoute", "derpMap",
            "postures", "defaultSrcPosture", "ipsets")


def decode(text):
    """The Policy of a text; Fault if it is none."""
    policy = Policy()
    if text == "":
        return policy           # zero bytes: no policy, and no error
    try:
        tree = hujson.read(text)
    except hujson.SyntaxFault as e:
        raise Fault(str(e)) from None
    for name, v in members(tree, "policy", SECTIONS).items():
        if v is None:
            continue
        READERS[name](policy, v)
    return policy


def read_groups(policy, v):
    # descending byte order of the keys decides which fault is the first.
    # Open: whether a bad key comes before; here it has its place among them
    for name, users in sorted(mapping(v, "groups"),
                              key=lambda p: p[0].encode(), reverse=True):
        if not name.startswith("group:"):
            raise Fault("group must start with 'group:', got: " + quote(name))
        if isinstance(users, str):
            raise Fault("group value must be an array of users: group %s "
                        "got string: %s" % (quote(name), quote(users)))
        for user in listing(users, "group"):
            if not isinstance(user, str):
                raise Fault("invalid group member type: group %s expected "
                            "string" % quote(name), loose=True)
            if user.startswith("group:"):
                raise Fault("groups[%s]: %s: group members cannot be "
                            "recursive" % (quote(name), quote(user)))
            if "@" not in user:
                raise Fault("username must contain @, got: " + quote(user))
        policy.groups[name] = list(users or [])


def read_hosts(policy, v):
    for name, value in mapping(v, "hosts"):
        if "@" in name or ":" in name or name == "":
            raise Fault("invalid hostname: " + quote(name))
        if not isinstance(value, str):
            raise type_fault("host", "a string")
        address = value
        prefix = lexis.parse_prefix(address)
        if prefix is None:
            raise Fault("hostname contains invalid IP address: hostname %s "
                        "address %s" % (quote(name), quote(address)))
        policy.hosts[name] = prefix


def person(s, fault):
    """An owner or approver: user, group, tag or autogroup."""
    for kind in ("group", "tag", "autogroup"):
        if s.startswith(kind + ":"):
            return lexis.Alias(kind, s)
    if "@" in s:
        return lexis.Alias("user", s)
    raise Fault("%s: %s" % (fault, quote(s)))


def read_owners(policy, v):
    for tag, owners in mapping(v, "tagOwners"):
        if not tag.startswith("tag:"):
            raise Fault("tag must start with 'tag:', got: " + quote(tag))
        if re.match(r"[A-Za-z]", tag[4:]) is None:
            raise Fault("tagOwners[%s]: tag names must start with a letter, "
                        "after 'tag:'" % quote(tag))
        policy.owners[tag] = [person(s, "invalid owner format")
                              for s in strings(owners, "tag owners")]


def read_acls(policy, v):
    policy.acls = []
    for entry in listing(v, "acls"):
        m = members(entry, "acl", ("action", "proto", "src", "dst", "users",
                                   "ports", "srcPosture"), drop_notes=True)
        action = string(m.get("action"), "action")
        if action != "accept":
            raise Fault("action=%s is not supported" % quote(action))
        src = aliases(m.get("src", m.get("users")), "src")
        dst = []
        for text in strings(m.get("dst", m.get("ports")), "dst"):
            host, ports = lexis.split_hostport(text)
            try:
                ranges = lexis.parse_ports(ports)
            except ValueError as why:
                raise lexis.port_fault(ports, why, "dst=%s: " % quote(text))
            alias = lexis.parse_alias(host)
            if alias.kind == "autogroup" and host not in AUTOGROUPS:
                raise Fault(
                    "invalid autogroup: got %s, must be one of "
                    "[autogroup:internet autogroup:member autogroup:nonroot "
                    "autogroup:tagged autogroup:self autogroup:danger-all]"
                    % quote(host))
            dst.append((alias, ranges))
        proto = None
        word = string(m.get("proto"), "proto")
        if word != "":
            proto = lexis.parse_protocol(word.lower())
        policy.acls.append(Record(src=src, dst=dst, proto=proto))


def parse_ip(s):
    """One entry of a grant's ip: (protocol or None, ranges)."""
    parts = s.split(":")
    if len(parts) > 2:
        raise Fault("expected only one colon in Internet protocol and port "
                    "type, got: [%s](%d)" % (" ".join(parts), len(parts)))
    proto = None
    if len(parts) == 2:
        proto = lexis.parse_protocol(parts[0])
    try:
        return proto, lexis.parse_ports(parts[-1])
    except ValueError as why:
        raise lexis.port_fault(parts[-1], why)


def via_alias(s):
    """8: whatever is no tag gets one message, so it need not be an alias."""
    try:
        return lexis.parse_alias(s)
    except Fault:
        return lexis.Alias("nothing", s)


def read_grants(policy, v):
    policy.grants = []
    for entry in listing(v, "grants"):
        m = members(entry, "grant", ("src", "dst", "ip", "app", "via",
                                     "srcPosture"))
        src = aliases(m.get("src"), "src")
        dst = aliases(m.get("dst"), "dst")
        ip = [parse_ip(s) for s in strings(m.get("ip"), "ip")]
        app = [(name, hujson.plain(value))
               for name, value in mapping(m.get("app"), "app")]
        for _, values in app:
            listing(values, "app")
        via = [via_alias(s) for s in strings(m.get("via"), "via")]
        policy.grants.append(Record(src=src, dst=dst, ip=ip, app=app,
                                    via=via))


def read_ssh(policy, v):
    for entry in listing(v, "ssh"):
        m = members(entry, "ssh", ("action", "src", "dst", "users",
                                   "checkPeriod", "acceptEnv", "srcPosture",
                                   "recorder", "enforceRecorder"))
        period = m.get("checkPeriod")
        policy.ssh.append(Record(
            action=lexis.trim(string(m.get("action"), "action")),
            src=aliases(m.get("src"), "src"),
            dst=aliases(m.get("dst"), "dst"),
            users=[lexis.trim(s) for s in strings(m.get("users"), "users")],
            env=strings(m.get("acceptEnv"), "acceptEnv"),
            period=None if period is None
            else string(period, "checkPeriod")))


def read_approvers(policy, v):
    m = members(v, "autoApprovers", ("routes", "exitNode", "appConnectors",
                                     "services"))
    what = "invalid auto approver format"
    for route, who in mapping(m.get("routes"), "routes"):
        prefix = lexis.parse_prefix(route, bare=False)
        if prefix is None:
            raise Fault("invalid prefix: " + quote(route), loose=True)
        policy.approve_routes.append(
            (prefix, [person(s, what) for s in strings(who, "approvers")]))
    policy.approve_exit = [person(s, what)
                           for s in strings(m.get("exitNode"), "exitNode")]


def read_attrs(policy, v):
    for entry in listing(v, "nodeAttrs"):
        m = members(entry, "nodeAttrs", ("target", "attr", "ipPool", "app"))
        policy.attrs.append(Record(
            target=aliases(m.get("target"), "target"),
            attr=strings(m.get("attr"), "attr"),
            pool=strings(m.get("ipPool"), "ipPool")))


def read_tests(policy, v):
    for entry in listing(v, "tests"):
        m = members(entry, "test", ("src", "proto", "accept", "deny", "allow",
                                    "srcPostureAttrs"))
        accept = strings(m.get("accept", m.get("allow")), "accept")
        policy.tests.append(Record(src=string(m.get("src"), "src"),
                                   proto=string(m.get("proto"), "proto"),
                                   accept=accept,
                                   deny=strings(m.get("deny"), "deny")))


def read_sshtests(policy, v):
    for entry in listing(v, "sshTests"):
        m = members(entry, "sshTest", ("src", "dst", "accept", "deny",
                                       "check", "srcPostureAttrs"))
        policy.sshtests.append(Record(
            src=lexis.trim(string(m.get("src"), "src")),
            dst=[lexis.trim(s) for s in strings(m.get("dst"), "dst")],
            accept=strings(m.get("accept"), "accept"),
            deny=strings(m.get("deny"), "deny"),
            check=strings(m.get("check"), "check")))


def read_random_port(policy, v):
    policy.random_port = boolean(v, "randomizeClientPort")


def read_no_ipv4(policy, v):
    policy.no_ipv4 = boolean(v, "disableIPv4")


def ignore(policy, v):
    """Sections that the service knows and that change nothing here."""


READERS = {
    "groups": read_groups, "hosts": read_hosts, "tagOwners": read_owners,
    "acls": read_acls, "grants": read_grants, "ssh": read_ssh,
    "autoApprovers": read_approvers, "nodeAttrs": read_attrs,
    "tests": read_tests, "sshTests": read_sshtests,
    "randomizeClientPort": read_random_port, "disableIPv4": read_no_ipv4,
    "OneCGNATRoute": ignore, "derpMap": ignore, "postures": ignore,
    "defaultSrcPosture": ignore, "ipsets": ignore,
}


# ---- check ---------------------------------------------------------------

class Checker:
    def __init__(self, policy, domains, users):
        self.policy = policy
        self.domains = domains
        self.users = users

    def run(self):
        p = self.policy
        for rule in p.acls or []:
            self.acl(rule)
        for rule in p.ssh:
            self.ssh(rule)
        for rule in p.grants or []:
            self.grant(rule)
        for entry in p.attrs:
            self.attr(entry)
        for tag in p.owners:
            for owner in p.owners[tag]:
                self.person(owner, "invalid owner format")
        for _, who in p.approve_routes:
            for a in who:
                self.person(a, "invalid auto approver format")
        for a in p.approve_exit:
            self.person(a, "invalid auto approver format")
        for test in p.tests:
            self.test(test)
        for test in p.sshtests:
            self.sshtest(test)
        self.ambiguous()

    # -- words that must be defined

    def defined(self, alias, before=""):
        p = self.policy
        if alias.kind == "tag" and alias.text not in p.owners:
            raise Fault("%stag not found: %s" % (before, quote(alias.text)))
        if alias.kind == "group" and alias.text not in p.groups:
            raise Fault("group not defined in policy: " + quote(alias.text))
        if alias.kind == "host" and alias.text not in p.hosts:
            raise Fault("host not defined in policy: " + quote(alias.text))

    def domain(self, alias, section):
        """user:*@D.  The text is known for [ssh] only."""
        d = lexis.domain_of(alias)
        if d not in self.domains:
            raise Fault("[%s] %s is not associated with this Tailnet and "
                        "cannot be used in user:*@<domain> expressions"
                        % (section, d), loose=section != "ssh")

    def source(self, alias, section):
        if alias.kind == "domain":
            self.domain(alias, section)
        if alias.kind == "autogroup":
            name = alias.text
            if name == "autogroup:self":
                raise Fault('"autogroup:self" not valid on the src side of a '
                            'rule')
            if name == "autogroup:internet":
                raise Fault("autogroup:internet can only be used in ACL "
                            "destinations")
            if name not in ("autogroup:member", "autogroup:tagged",
                            "autogroup:danger-all") + ROLES:
                raise Fault(
                    "autogroup not supported for ACL sources: %s, can be "
                    "[autogroup:member autogroup:tagged autogroup:danger-all]"
                    % quote(name))
        self.defined(alias, "src=")

    def destination(self, alias, section, before):
        if alias.kind == "domain":
            self.domain(alias, section)
        if alias.kind == "autogroup":
            name = alias.text
            if name == "autogroup:danger-all":
                raise Fault("cannot use autogroup:danger-all as a dst")
            if name not in ("autogroup:internet", "autogroup:member",
                            "autogroup:tagged", "autogroup:self") + ROLES:
                raise Fault(
                    "autogroup not supported for ACL destinations: %s, can "
                    "be [autogroup:internet autogroup:member autogroup:tagged "
                    "autogroup:self]" % quote(name))
        self.defined(alias, before)

    @staticmethod
    def self_sources(src, wildcard):
        for a in src:
            # members is the old word for member (4.1)
            if a.kind in ("user", "group") or a.text in (
                    "autogroup:member", "autogroup:members"):
                continue
            if wildcard and a.kind == "any":
                continue
            raise Fault("autogroup:self can only be used with users, groups, "
                        "or supported autogroups")

    # -- sections

    def acl(self, rule):
        for a in rule.src:
            self.source(a, "acls")
        for a, _ in rule.dst:
            self.destination(a, "acls", "dst=%s: " % quote(a.text))
        if rule.proto is not None and rule.proto not in lexis.PORTED:
            for _, ranges in rule.dst:
                if ranges != [(0, 65535)]:
                    raise Fault("protocol does not support specific ports: "
                                '%s, only "*" is allowed'
                                % quote(lexis.protocol_name(rule.proto)))
        if any(a.text == "autogroup:self" for a, _ in rule.dst):
            self.self_sources(rule.src, True)

    def grant(self, g):
        if not g.ip and not g.app:
            raise Fault("ip and app can not both be empty")
        for name, _ in g.app:
            self.capability(name)
        if g.app and any(a.text == "autogroup:internet" for a in g.dst):
            raise Fault("cannot use app grants with autogroup:internet")
        for a in g.dst:
            prefix = a.prefix
            if a.kind == "host":
                prefix = self.policy.hosts.get(a.text)
            if prefix is not None and prefix.length == 0:
                raise Fault('dst %s: to allow all IP addresses, use "*" or '
                            '"autogroup:internet"' % quote(a.text))
        for a in g.src:
            self.source(a, "grants")
        for a in g.dst:
            self.destination(a, "grants", "")
        for a in g.via:
            if a.kind != "tag":
                raise Fault("via can only be a tag")
            if a.text not in self.policy.owners:
                raise Fault("tag %s not found" % quote(a.text))
        if any(a.text == "autogroup:self" for a in g.dst):
            self.self_sources(g.src, False)

    @staticmethod
    def capability(name):
        domain, _, path = name.partition("/")
        if "://" in name or domain == "" or path == "":
            raise Fault("capability name must have the form {domain}/{path}")
        if domain == "tailscale.com" and path not in (
                "cap/drive", "cap/relay", "cap/webui", "cap/kubernetes",
                "cap/tsidp", "cap/secrets"):
            raise Fault("capability name must not be in the tailscale.com "
                        "domain")

    def ssh(self, rule):
        if rule.action == "":
            raise Fault("action must be specified")
        if rule.action not in ("accept", "check"):
            raise Fault("%s is not a valid action" % quote(rule.action))
        if not rule.users:
            raise Fault("users must be specified")
        for user in rule.users:
            if user in ("", "*"):
                raise Fault("user %s is not valid" % quote(user))
            d = localpart_domain(user)
            if d is not None and d not in self.domains:
                raise Fault("%s is not associated with this Tailnet and "
                            "cannot be used in user:*@<domain> expressions"
                            % d)
        for name in rule.env:
            if name == "":
                raise Fault("acceptEnv values cannot be empty")
        for a in rule.src:
            self.ssh_source(a)
        for a in rule.dst:
            self.ssh_destination(a)
        for a in rule.dst:
            self.ssh_pair(rule.src, a)
        self.period(rule)

    def same_user(self, a, b):
        """11.2 by identity: two names of one user."""
        if a == b:
            return True
        x, y = find_users(self.users, a), find_users(self.users, b)
        return len(x) == 1 and len(y) == 1 and x[0] is y[0]

    def ssh_source(self, a):
        if a.kind in ("prefix", "host", "any"):
            raise Fault("alias not supported for SSH source: " + a.kind,
                        loose=True)
        if a.kind == "domain":
            self.domain(a, "ssh")
        if a.text == "autogroup:internet":
            raise Fault("autogroup:internet can only be used in ACL "
                        "destinations")
        if a.kind == "autogroup" and a.text not in (
                "autogroup:member", "autogroup:tagged") + ROLES:
            raise Fault("autogroup not supported for SSH sources: %s, can be "
                        "[autogroup:member autogroup:tagged]"
                        % quote(a.text))
        self.defined(a)

    def ssh_destination(self, a):
        if a.kind == "host":
            raise Fault("invalid dst " + quote(a.text))
        if a.kind == "any":
            raise Fault("wildcard (*) is not supported as SSH destination; "
                        "use 'autogroup:member' for user-owned devices, "
                        "'autogroup:tagged' for tagged devices, or specific "
                        "tags/users")
        if a.kind in ("prefix", "group", "domain"):
            raise Fault("invalid dst " + quote(a.text), loose=True)
        if a.text == "autogroup:internet":
            raise Fault("autogroup:internet can only be used in ACL "
                        "destinations")
        if a.kind == "autogroup" and a.text not in (
                "autogroup:member", "autogroup:tagged",
                "autogroup:self") + ROLES:
            raise Fault(
                "autogroup not supported for SSH destinations: %s, can be "
                "[autogroup:member autogroup:tagged autogroup:self]"
                % quote(a.text))
        self.defined(a)

    def ssh_pair(self, src, a):
        tagged = any(s.kind == "tag" or s.text == "autogroup:tagged"
                     for s in src)
        if a.kind == "user":
            if tagged:
                raise Fault("tags in SSH source cannot access user-owned "
                            "devices (%s); use autogroup:tagged or specific "
                            "tags as destinations instead" % a.text)
            if any(s.kind != "user" or not self.same_user(s.text, a.text)
                   for s in src):
                raise Fault("user destination requires source to contain "
                            "only that same user %s; use autogroup:self "
                            "instead for same-user SSH access"
                            % quote(a.text))
        if a.text == "autogroup:self" and tagged:
            raise Fault("autogroup:self destination requires source to "
                        "contain only users or groups, not tags or "
                        "autogroup:tagged")
        # the text is known for member; a role's devices are users' as well
        if a.text in ("autogroup:member",) + ROLES and tagged:
            raise Fault("tags in SSH source cannot access %s (user-owned "
                        "devices)" % a.text,
                        loose=a.text != "autogroup:member")

    @staticmethod
    def period(rule):
        if rule.period is None:
            return
        if rule.period != "always":
            ns = lexis.parse_duration(rule.period)
            if ns < 0:
                raise Fault("checkPeriod %s must be a positive duration"
                            % lexis.duration_text(ns))
            if ns > 168 * lexis.UNITS["h"]:
                raise Fault("checkPeriod %s is above the max (168h)"
                            % lexis.duration_text(ns))
        if rule.action != "check":
            raise Fault('checkPeriod is only valid with action "check"')

    def attr(self, entry):
        for a in entry.target:
            if a.kind == "domain":
                self.domain(a, "nodeAttrs")
            if a.kind == "host" and a.text not in self.policy.hosts:
                raise Fault("%s: invalid address" % quote(a.text))
            if a.kind == "autogroup" and a.text not in (
                    "autogroup:member", "autogroup:tagged") + ROLES:
                raise Fault("nodeAttrs target does not support this "
                            "autogroup: %s, can be [autogroup:member "
                            "autogroup:tagged]" % quote(a.text))
            self.defined(a)
        for s in entry.pool:
            self.pool(s)

    @staticmethod
    def pool(s):
        # Open: an address alone; no prefix here, as in 14
        prefix = lexis.parse_prefix(s, bare=False)
        if prefix is None:
            raise Fault("invalid prefix: " + quote(s), loose=True)
        if not lexis.inside(prefix.range, CGNAT.range):
            raise Fault("nodeAttrs ipPool must be within 100.64.0.0/10: "
                        + quote(s))
        for r in RESERVED:
            if lexis.inside(prefix.range, r.range):
                raise Fault("IPPool(%s): network within reserved range" % s)
            if lexis.overlap(prefix.range, r.range):
                raise Fault("nodeAttrs ipPool must not overlap reserved "
                            "Tailscale ranges: %s overlaps %s"
                            % (quote(s), quote(r.text)))

    def person(self, a, fault):
        if a.kind == "autogroup" and a.text not in (
                "autogroup:member", "autogroup:tagged") + ROLES:
            raise Fault("%s: %s" % (fault, quote(a.text)))
        self.defined(a)

    # -- tests: one text for all that can be wrong with them

    def test(self, t):
        ok = bool(t.accept or t.deny)
        if t.proto != "":
            try:
                ok = ok and lexis.parse_protocol(t.proto.lower()) in \
                    lexis.PORTED
            except Fault:
                ok = False
        for dst in t.accept + t.deny:
            ok = ok and self.test_dst(dst)
        if not ok:
            raise Fault(TESTS_FAILED)

    def test_dst(self, dst):
        try:
            host, ports = lexis.split_hostport(dst)
            ranges = lexis.parse_ports(ports)
            alias = lexis.parse_alias(host)
        except (Fault, ValueError):
            return False
        if len(ranges) != 1 or ranges[0][0] != ranges[0][1]:
            return False
        # Open: "*", which the text does not name; it is no single host, and
        # a test of it says nothing
        if alias.text == "autogroup:internet" or alias.kind == "any":
            return False
        if alias.kind == "prefix":
            return "/" not in host
        if alias.kind == "host" and alias.text in self.policy.hosts:
            return self.policy.hosts[alias.text].single
        return True

    def sshtest(self, t):
        if t.src == "" or not t.dst:
            raise Fault(TESTS_FAILED)
        for dst in t.dst:
            try:
                a = lexis.parse_alias(dst)
            except Fault:
                raise Fault(TESTS_FAILED) from None
            prefix = a.prefix
            if a.kind == "host":
                prefix = self.policy.hosts.get(a.text)
            if a.text == "autogroup:internet" or \
                    prefix is not None and not prefix.single:
                raise Fault("SSH tests dst contains disallowed element "
                            + quote(dst))
            if a.kind == "tag" and a.text not in self.policy.owners:
                raise Fault("SSH tests dst contains unknown tag "
                            + quote(dst))

    # -- names that mean more than one user

    def ambiguous(self):
        p = self.policy
        tokens = []
        for users in p.groups.values():
            tokens += users
        seen = [a for owners in p.owners.values() for a in owners]
        for _, who in p.approve_routes:
            seen += who
        seen += p.approve_exit
        for rule in p.acls or []:
            seen += rule.src + [a for a, _ in rule.dst]
        for rule in p.ssh:
            seen += rule.src + rule.dst
        tokens += [a.text for a in seen if a.kind == "user"]
        for token in tokens:
            if len(find_users(self.users, token)) > 1:
                raise Fault("multiple users found: token %s found"
                            % quote(token), loose=True)


CGNAT = lexis.parse_prefix("100.64.0.0/10")
RESERVED = (lexis.parse_prefix("100.100.100.0/24"),
            lexis.parse_prefix("100.115.92.0/23"))


def find_users(users, token):
    """The users that a name in a policy means (4.2)."""
    if token.endswith("@"):
        token = token[:-1]
    if token == "":
        return []
    return [u for u in users if token in (u["email"], u["name"])]


def localpart_domain(user):
    """D of "localpart:*@D", None for any other login name."""
    start = "localpart:*@"
    if user.startswith(start) and len(user) > len(start):
        return user[len(start):]
    return None


def check(policy, domains, users):
    Checker(policy, domains, users).run()
