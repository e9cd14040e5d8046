"""Faults for random policies: each function spoils one thing in a tree.

spoil() puts in one fault; spoil_twice() two that policy.md 16 orders (both
found when the words are checked, not while the text is read)."""

import json

# ---- helpers -------------------------------------------------------------


def section(m, name, empty=()):
    """A section of the tree, made if it is absent or null."""
    if m.tree.get(name) is None:
        m.tree[name] = {} if empty == {} else []
    return m.tree[name]


def entry(m, name, good, parts):
    """A good entry at any place of a section, but with these parts; what is
    None is left out."""
    made = {k: v for k, v in {**good, **parts}.items() if v is not None}
    entries = section(m, name)
    entries.insert(m.r.randrange(len(entries) + 1), made)


def acl(m, **parts):
    entry(m, "acls", {"action": "accept", "src": [m.user()],
                      "dst": ["*:*"]}, parts)


def grant(m, **parts):
    entry(m, "grants", {"src": [m.user()], "dst": ["*"], "ip": ["*"]}, parts)


def ssh(m, **parts):
    entry(m, "ssh", {"action": "accept", "src": [m.user()],
                     "dst": [m.r.choice(m.tags)], "users": ["root"]}, parts)


def period(m, text):
    ssh(m, action="check", checkPeriod=text)


def attr(m, **parts):
    entry(m, "nodeAttrs", {"target": [m.user()], "attr": ["x"]}, parts)


def test(m, **parts):
    section(m, "tests").append(
        {"src": m.user(), "accept": ["1.1.1.1:22"], **parts})


def sshtest(m, **parts):
    section(m, "sshTests").append(
        {"src": m.user(), "dst": [m.r.choice(m.tags)], "deny": ["root"],
         **parts})


# ---- faults of meaning, by the order in which they are looked for --------

ACL = (
    lambda m: acl(m, src=["tag:absent"]),
    lambda m: acl(m, src=["*", "tag:absent", "tag:gone"]),
    lambda m: acl(m, dst=["*:*", "tag:absent:22"]),
    lambda m: acl(m, src=["autogroup:self"]),
    lambda m: acl(m, src=["autogroup:internet"]),
    lambda m: acl(m, src=["autogroup:nonroot"]),
    lambda m: acl(m, src=["autogroup:bogus"]),
    lambda m: acl(m, dst=["autogroup:nonroot:22"]),
    lambda m: acl(m, dst=["autogroup:danger-all:*"]),
    lambda m: acl(m, src=["group:absent"]),
    lambda m: acl(m, dst=["group:absent:*"]),
    lambda m: acl(m, src=["no-such-host"]),
    lambda m: acl(m, dst=["no-such-host:80"]),
    lambda m: acl(m, src=["10.0.0.0/33"]),
    lambda m: acl(m, src=["user:*@strange.test"]),
    lambda m: acl(m, src=[m.user(), m.tags[0]], dst=["autogroup:self:*"]),
    lambda m: acl(m, src=["autogroup:tagged"], dst=["autogroup:self:*"]),
    lambda m: acl(m, src=["10.1.2.3"], dst=["*:*", "autogroup:self:*"]),
    lambda m: acl(m, src=["autogroup:danger-all"], dst=["autogroup:self:*"]),
    lambda m: acl(m, src=[m.user(), "user:*@" + m.domains[0]],
                  dst=["autogroup:self:*"]),
    lambda m: acl(m, src=["autogroup:admin"], dst=["autogroup:self:*"]),
    lambda m: acl(m, src=["autogroup:owner"], dst=["autogroup:self:22"]),
    lambda m: acl(m, src=["autogroup:auditor"], dst=["autogroup:self:*"]),
    lambda m: acl(m, src=[""]),
    lambda m: acl(m, src=["\u00a0"]),
    lambda m: acl(m, proto="icmp", dst=["*:22"]),
    lambda m: acl(m, proto="47", dst=["*:*", "1.1.1.1:1-2"]),
    lambda m: acl(m, proto="4", dst=["*:22"]),
    # two in one entry
    lambda m: acl(m, src=["tag:absent"], dst=["tag:gone:*"]),
    lambda m: acl(m, dst=["tag:gone:*", "tag:absent:*"], proto="icmp"),
)
SSH = (
    lambda m: ssh(m, action=None),
    lambda m: ssh(m, action="  "),
    lambda m: ssh(m, action="ACCEPT"),
    lambda m: ssh(m, action="deny"),
    lambda m: ssh(m, users=[]),
    lambda m: ssh(m, users=None),
    lambda m: ssh(m, users=["root", ""]),
    lambda m: ssh(m, users=["*"]),
    lambda m: ssh(m, users=["root", "*", ""]),
    lambda m: ssh(m, users=["localpart:*@strange.test"]),
    lambda m: ssh(m, users=["localpart:*@*"]),
    lambda m: ssh(m, users=["localpart:*@" + m.domains[0].upper()]),
    lambda m: ssh(m, acceptEnv=["TERM", ""]),
    lambda m: ssh(m, src=["tag:absent"]),
    lambda m: ssh(m, src=["group:absent"]),
    lambda m: ssh(m, src=["user:*@strange.test"]),
    lambda m: ssh(m, src=["*"]),
    lambda m: ssh(m, src=["10.0.0.1"]),
    lambda m: ssh(m, src=["autogroup:nonroot"]),
    lambda m: ssh(m, src=["autogroup:internet"]),
    lambda m: ssh(m, dst=["tag:absent"]),
    lambda m: ssh(m, dst=["some-host"]),
    lambda m: ssh(m, dst=["*"]),
    lambda m: ssh(m, dst=["autogroup:internet"]),
    lambda m: ssh(m, dst=["autogroup:nonroot"]),
    lambda m: ssh(m, src=["autogroup:member"], dst=[m.user()]),
    lambda m: ssh(m, src=[m.tags[0]], dst=[m.user()]),
    lambda m: ssh(m, src=["autogroup:tagged"], dst=["autogroup:self"]),
    lambda m: ssh(m, src=[m.tags[0]], dst=["autogroup:member"]),
    lambda m: ssh(m, action="check", checkPeriod="abc"),
    lambda m: ssh(m, action="check", checkPeriod="-1m"),
    lambda m: ssh(m, action="check", checkPeriod="200h"),
    lambda m: ssh(m, action="check", checkPeriod="168h0m1s"),
    lambda m: ssh(m, action="check", checkPeriod="-90m30.5s"),
    lambda m: ssh(m, checkPeriod="1h"),
    lambda m: ssh(m, checkPeriod="-1m"),
    lambda m: ssh(m, checkPeriod="200h"),
    lambda m: ssh(m, checkPeriod="7x"),
    lambda m: ssh(m, checkPeriod=""),
    lambda m: period(m, "5"),
    lambda m: period(m, "1d"),
    lambda m: period(m, "1h 2m"),
    lambda m: period(m, "1h2"),
    lambda m: period(m, "1e3s"),
    lambda m: period(m, ".s"),
    lambda m: period(m, "h"),
    lambda m: period(m, "Always"),
    lambda m: period(m, " 1h"),
    lambda m: period(m, "\u0664h"),
    lambda m: period(m, "1\u00b5"),
    lambda m: period(m, "9223372036854775808ns"),
    lambda m: period(m, "-9223372036854775808ns"),
    lambda m: period(m, "99999999999999999999y"),
    lambda m: ssh(m, action="\u3000"),
    lambda m: ssh(m, action="accept\u200b"),
    lambda m: ssh(m, users=["root", "\u2028"]),
    lambda m: ssh(m, users=["\u0085*\u00a0"]),
    lambda m: ssh(m, src=[""]),
    lambda m: ssh(m, dst=[""]),
    lambda m: ssh(m, src=[m.tags[0]], dst=["autogroup:admin"]),
    lambda m: ssh(m, src=["autogroup:tagged"], dst=["autogroup:auditor"]),
    lambda m: ssh(m, src=["one@tail.test"], dst=["two@tail.test"]),
    lambda m: ssh(m, src=[m.user(), "autogroup:admin"], dst=[m.user()]),
    # two in one entry
    lambda m: ssh(m, action="deny", users=[]),
    lambda m: ssh(m, users=["*"], acceptEnv=[""]),
    lambda m: ssh(m, src=["tag:absent"], dst=["some-host"]),
    lambda m: ssh(m, acceptEnv=[""], src=["tag:absent"]),
)
GRANT = (
    lambda m: grant(m, ip=None),
    lambda m: grant(m, ip=[]),
    lambda m: grant(m, ip=None, app={}),
    lambda m: grant(m, app={"https://acme.test/cap": []}),
    lambda m: grant(m, app={"tailscale.com/cap/ingress": []}),
    lambda m: grant(m, app={"tailscale.com/cap/relay-target": []}),
    lambda m: grant(m, ip=None, dst=["autogroup:internet"],
                    app={"acme.test/cap": []}),
    lambda m: grant(m, dst=["autogroup:danger-all"]),
    lambda m: grant(m, dst=["0.0.0.0/0"]),
    lambda m: grant(m, dst=["::/0", "0.0.0.0/0"]),
    lambda m: grant(m, src=["tag:absent"]),
    lambda m: grant(m, dst=["tag:absent"]),
    lambda m: grant(m, src=["group:absent"]),
    lambda m: grant(m, dst=["no-such-host"]),
    lambda m: grant(m, src=["autogroup:self"]),
    lambda m: grant(m, src=["autogroup:internet"]),
    lambda m: grant(m, dst=["autogroup:nonroot"]),
    lambda m: grant(m, via=["autogroup:tagged"]),
    lambda m: grant(m, via=[m.tags[0], "tag:absent"]),
    lambda m: grant(m, src=["*"], dst=["autogroup:self"]),
    lambda m: grant(m, src=[m.user(), m.tags[0]], dst=["autogroup:self"]),
    lambda m: grant(m, src=["user:*@" + m.domains[0]],
                    dst=["autogroup:self"]),
    lambda m: grant(m, src=["autogroup:owner"], dst=["autogroup:self"]),
    lambda m: grant(m, via=[""]),
    lambda m: grant(m, via=["a:b"]),
    lambda m: grant(m, via=[m.tags[0], "*"]),
    lambda m: grant(m, via=[" " + m.tags[0]]),
    lambda m: grant(m, dst=[""]),
    # two in one entry
    lambda m: grant(m, ip=[], src=["tag:absent"]),
    lambda m: grant(m, src=["tag:absent"], dst=["tag:gone"]),
    lambda m: grant(m, dst=["tag:gone"], via=["tag:absent"]),
)
ATTR = (
    lambda m: attr(m, target=["tag:absent"]),
    lambda m: attr(m, target=["%no-host%"]),
    lambda m: attr(m, target=["group:absent"]),
    lambda m: attr(m, target=["autogroup:internet"]),
    lambda m: attr(m, target=["autogroup:self"]),
    lambda m: attr(m, target=["user:*@strange.test"]),
    lambda m: attr(m, ipPool=["100.100.100.0/24"]),
    lambda m: attr(m, ipPool=["100.100.100.128/25"]),
    lambda m: attr(m, ipPool=["100.115.93.0/24"]),
    lambda m: attr(m, ipPool=["100.100.0.0/16"]),
    lambda m: attr(m, ipPool=["10.0.0.0/8"]),
    lambda m: attr(m, ipPool=["100.64.0.0/9"]),
    lambda m: attr(m, ipPool=["100.64.0.0/10"]),
    lambda m: attr(m, ipPool=["100.81.0.1"]),
    lambda m: attr(m, target=[""]),
)


def owner(m, who):
    m.tree["tagOwners"][m.r.choice(m.tags)] = who


def approver(m, who, exit_=False):
    t = section(m, "autoApprovers", {})
    if exit_:
        t["exitNode"] = who
    else:
        t.setdefault("routes", {})["10.77.0.0/16"] = who


LATER = (
    lambda m: owner(m, ["tag:absent"]),
    lambda m: owner(m, ["group:absent"]),
    lambda m: approver(m, ["tag:absent"]),
    lambda m: approver(m, ["group:absent"]),
    lambda m: approver(m, ["tag:absent"], True),
    lambda m: approver(m, ["group:absent"], True),
)
TESTS = (
    lambda m: test(m, accept=[]),
    lambda m: test(m, src=""),
    lambda m: test(m, src="tag:absent"),
    lambda m: test(m, src="nobody@tail.test"),
    lambda m: test(m, deny=["1.1.1.1:22"]),
    lambda m: test(m, proto="icmp"),
    lambda m: test(m, proto="bogus"),
    lambda m: test(m, accept=["1.1.1.1:22,23"]),
    lambda m: test(m, accept=["1.1.1.1:1-9"]),
    lambda m: test(m, accept=["1.1.1.1:*"]),
    lambda m: test(m, accept=["10.0.0.1/32:22"]),
    lambda m: test(m, accept=["no-such-host:22"]),
    lambda m: test(m, accept=["autogroup:internet:22"]),
    lambda m: test(m, accept=["*:22"]),
    lambda m: test(m, accept=[], deny=["*:22"]),
    lambda m: test(m, src="autogroup:it-admin"),
    lambda m: test(m, src=" " + m.user()),
    lambda m: test(m, accept=["tag:absent:22"]),
    lambda m: sshtest(m, src=""),
    lambda m: sshtest(m, dst=[]),
    lambda m: sshtest(m, src="group:absent"),
    lambda m: sshtest(m, dst=["autogroup:internet"]),
    lambda m: sshtest(m, dst=["100.64.0.0/24"]),
    lambda m: sshtest(m, dst=[m.tags[0] + ":22"]),
    lambda m: sshtest(m, deny=[]),
    lambda m: sshtest(m, accept=["root"]),
    lambda m: sshtest(m, dst=["198.51.100.77"]),
    lambda m: sshtest(m, dst=["a:b:c"]),
    lambda m: sshtest(m, dst=[""]),
    lambda m: sshtest(m, dst=["autogroup:nonroot"]),
    lambda m: sshtest(m, dst=["autogroup:bogus"]),
    lambda m: sshtest(m, dst=["autogroup:shared"]),
    lambda m: sshtest(m, dst=["a:b:c", "autogroup:internet"]),
)
MEANING = (ACL, SSH, GRANT, ATTR, LATER, TESTS)

# ---- faults that come alone: most are met by the reading itself -----------


def put(m, section, value):
    m.tree[section] = value


def group(m, name, value):
    section(m, "groups", {})[name] = value


def nested(m):
    group(m, "group:x-outer", [m.user(), "group:x-inner", "group:dev"])
    group(m, "group:x-inner", ["group:x-other"])
    group(m, "group:x-other", [])


def bad_key(m):
    """Its place is among the others, from the last to the first."""
    group(m, m.r.choice(("dev", "group", "z")), [m.user()])
    group(m, "group:x", ["group:y"])


def host(m, name, value):
    section(m, "hosts", {})[name] = value


def twins(m):
    """Two users behind one name."""
    u = m.r.choice(m.users)
    name = u["email"] or u["name"]
    m.users.append({"id": 90, "name": name, "email": "twin@tail.test",
                    "role": "member"})
    group(m, "group:twins", [name if "@" in name else name + "@"])


READING = (
    lambda m: acl(m, action="deny"),
    lambda m: acl(m, dst=["tag:absent:ssh"]),
    lambda m: acl(m, dst=["autogroup:self"]),
    lambda m: acl(m, dst=["1.1.1.1:0"]),
    lambda m: acl(m, dst=["1.1.1.1:22,65536"]),
    lambda m: acl(m, dst=["1.1.1.1:9-8"]),
    lambda m: acl(m, dst=["1.1.1.1:-1"]),
    lambda m: acl(m, dst=["1.1.1.1:1-2-3"]),
    lambda m: acl(m, dst=["1.1.1.1"]),
    lambda m: acl(m, dst=[":22"]),
    lambda m: acl(m, dst=["1.1.1.1:"]),
    lambda m: acl(m, dst=["[1.1.1.1]:22"]),
    lambda m: acl(m, dst=["autogroup:bogus:22"]),
    lambda m: acl(m, src=["what:is:this"]),
    lambda m: acl(m, proto="*"),
    lambda m: acl(m, proto="0"),
    lambda m: acl(m, proto="007"),
    lambda m: acl(m, proto="wave"),
    lambda m: acl(m, proto="256"),
    lambda m: acl(m, colour="red"),
    lambda m: grant(m, ip=["icmp"]),
    lambda m: grant(m, ip=["0"]),
    lambda m: grant(m, ip=["tcp:0"]),
    lambda m: grant(m, ip=["TCP:80"]),
    lambda m: grant(m, ip=["a:b:c"]),
    lambda m: grant(m, ip=["tcp:http"]),
    lambda m: grant(m, src=["a:b"]),
    lambda m: grant(m, weather="fine"),
    lambda m: ssh(m, shell="sh"),
    lambda m: attr(m, target="all"),
    lambda m: group(m, "dev", []),
    lambda m: group(m, "group:y", ["ann"]),
    lambda m: group(m, "group:y", "ann@tail.test"),
    lambda m: group(m, "group:y", [1]),
    nested,
    bad_key,
    # null where there must be a string
    lambda m: group(m, "group:y", [None]),
    lambda m: host(m, "y", None),
    lambda m: acl(m, src=[m.user(), None]),
    lambda m: acl(m, dst=[None]),
    lambda m: ssh(m, users=["root", None]),
    lambda m: ssh(m, acceptEnv=[None]),
    lambda m: grant(m, ip=[None]),
    lambda m: grant(m, via=[None]),
    lambda m: attr(m, attr=[None]),
    lambda m: owner(m, [None]),
    lambda m: acl(m, dst=["1.1.1.1:+80"]),
    lambda m: grant(m, ip=["tcp:1-+9"]),
    lambda m: host(m, "a@b", "10.0.0.1"),
    lambda m: host(m, "a:b", "10.0.0.1"),
    lambda m: host(m, "y", "10.0.0.256"),
    lambda m: host(m, "y", "not an address"),
    lambda m: owner(m, ["just a word"]),
    lambda m: m.tree["tagOwners"].update({"web": []}),
    lambda m: m.tree["tagOwners"].update({"tag:9lives": []}),
    lambda m: m.tree["tagOwners"].update({"tag:\u0441\u0435\u0442\u044c":
                                          []}),
    lambda m: m.tree["tagOwners"].update({"tag:": []}),
    lambda m: approver(m, ["a word"]),
    lambda m: approver(m, ["10.0.0.1"], True),
    lambda m: put(m, "rules", []),
    lambda m: put(m, "acls", {}),
    lambda m: put(m, "ssh", "none"),
    lambda m: put(m, "randomizeClientPort", "yes"),
    # these two are found late; where, policy.md does not tell
    lambda m: attr(m, target=["nobody@tail.test"]),
    twins,
)


SINGLE = READING + tuple(f for group in MEANING for f in group)


def spoil(m, number):
    """The fault of a number, so that a run of seeds meets them all."""
    SINGLE[number % len(SINGLE)](m)


def spoil_twice(m):
    for _ in range(2):
        m.r.choice(m.r.choice(MEANING))(m)


def spoil_text(m, text):
    """A fault of syntax, mostly; sometimes the text stays good."""
    kind = m.r.randrange(6)
    at = m.r.randrange(len(text))
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + m.r.choice(",:]}[{'x\\/ ") + text[at:]
    if kind == 2:
        return text[:at] + text[at + 1:]
    if kind == 3:
        return "\ufeff" + text
    if kind == 4:
        return text + m.r.choice(("// no end", "/* no end", "}", "/", "//\n",
                                  " /* \u0441\u0435\u0442\u044c */ "))
    name = json.dumps(m.r.choice(sorted(m.tree)))
    return text.replace("{", "{%s: null, %s: null, " % (name, name), 1)
