#!/usr/bin/env python3
"""compare.py RUNNER DIR: the captures against a runner (README).

RUNNER is a command line that speaks the protocol, or the word "naive".  DIR
holds manifest.json, tailnet.json and a folder of case files per category;
what is compared is told in DIR/COMPARISON.md 6.  Exit status 0 if every case
passes, and there is one.
"""

import collections
import json
import os
import sys

sys.dont_write_bytecode = True

import lexis
import naive
from nodes import text_range
from runner import Runner

LEVELS = ("L1", "L2", "L3", "L4")

# What is optional there: counted and told, but no case fails by it.  dns is
# not among them: it comes of the tailnet's settings and the service's own
# names, not of the policy (policy.md 12.7).
OPTIONAL = ("peer tags", "online", "whois")

# Self capabilities that the service always sends, or sends for reasons
# outside the policy; policy.md 12.3.
STRIPPED = {
    "default-auto-update", "https://tailscale.com/cap/tailnet-lock",
    "probe-udp-lifetime", "ssh-behavior-v1", "ssh-env-vars",
    "store-appc-routes", "tailnet-display-name", "service-host",
    "tailnet-max-key-duration", "native-ipv4",
}


class Differs(Exception):
    """The first field that differs: its place and both values."""

    def __init__(self, place, want, got):
        super().__init__("%s: want %s, got %s" % (place, brief(want),
                                                  brief(got)))


def brief(v):
    s = v if isinstance(v, str) else json.dumps(v, sort_keys=True)
    return s if len(s) <= 300 else s[:300] + "..."


def first_difference(place, want, got):
    """Differs at the first inner place where two JSON values do."""
    if want == got:
        return
    if isinstance(want, dict) and isinstance(got, dict):
        for k in sorted(set(want) | set(got)):
            if k not in want:
                raise Differs("%s.%s" % (place, k), "(nothing)", got[k])
            if k not in got:
                raise Differs("%s.%s" % (place, k), want[k], "(nothing)")
            first_difference("%s.%s" % (place, k), want[k], got[k])
    if isinstance(want, list) and isinstance(got, list):
        for i, (w, g) in enumerate(zip(want, got)):
            first_difference("%s[%d]" % (place, i), w, g)
        n = min(len(want), len(got))
        if len(want) != len(got):
            raise Differs("%s[%d]" % (place, n),
                          want[n] if n < len(want) else "(nothing)",
                          got[n] if n < len(got) else "(nothing)")
    raise Differs(place, want, got)


# ---- from a case file to the runner's input ------------------------------

def runner_input(case, tailnet, standard_users):
    roles = tailnet.get("roles", {})
    users = case["users"]
    if any(not u["email"] for u in users):
        users = standard_users
    ids = {u["name"]: u["id"] for u in users}
    highest = 1 + max([n.get("rank") or 0 for n in case["nodes"].values()],
                      default=0)
    nodes = []
    for name in sorted(case["nodes"]):
        n = case["nodes"][name]
        rank = n.get("rank")
        if rank is None:
            rank = highest
            highest += 1
        nodes.append({
            "id": rank, "name": name, "tags": n.get("tags") or [],
            "ipv4": n["ipv4"], "ipv6": n["ipv6"],
            "user": ids.get(n.get("user"), 0),
            "routes": n.get("routes") or [],
            "approved": n.get("approved") or [], "online": True})
    nodes.sort(key=lambda n: n["id"])
    return {"policy": case["policy"], "domains": tailnet["domains"],
            "users": [{"id": u["id"], "name": u["name"],
                       "email": u["email"],
                       "role": roles.get(u["name"], "member")}
                      for u in users],
            "nodes": nodes}


# ---- normal forms --------------------------------------------------------

def no_null(v):
    """null and an empty list are the same in a CapMap."""
    if isinstance(v, dict):
        return {k: no_null(x) for k, x in v.items()}
    return None if v == [] else v


def norm_filter(rules, unordered, loose):
    """The rules of one node.  unordered: SrcIPs are a set; loose: so are
    DstPorts, and the rules themselves."""
    out = []
    for rule in rules or []:
        rule = dict(rule)
        if unordered or loose:
            rule["SrcIPs"] = sorted(rule.get("SrcIPs") or [])
        if "DstPorts" in rule and loose:
            rule["DstPorts"] = sorted(rule["DstPorts"], key=json.dumps)
        if "CapGrant" in rule:
            rule["CapGrant"] = [
                dict(g, Dsts=sorted(g["Dsts"]) if loose else g["Dsts"],
                     CapMap=no_null(g["CapMap"])) for g in rule["CapGrant"]]
            if loose:
                rule["CapGrant"].sort(key=stable)
        out.append(rule)
    if loose:
        out.sort(key=stable)
    return out


def stable(v):
    return json.dumps(v, sort_keys=True)


def norm_ssh(rules, unordered, loose):
    out = []
    for rule in rules or []:
        rule = {k: v for k, v in rule.items() if v is not None}
        if unordered or loose:
            rule["principals"] = sorted(rule.get("principals") or [],
                                        key=stable)
        action = dict(rule.get("action") or {})
        hold = action.get("holdAndDelegate")
        if hold is not None and "/machine/" in hold:
            action["holdAndDelegate"] = "https://unused/machine/" + \
                hold.split("/machine/", 1)[1]
        rule["action"] = action
        if not rule.get("acceptEnv"):
            rule.pop("acceptEnv", None)
        out.append(rule)
    if loose:
        out.sort(key=stable)
    return out


def norm_caps(caps):
    return {k: None if v == [] else v for k, v in (caps or {}).items()
            if k not in STRIPPED}


def told(place, want, got):
    """None, or the text of the first difference."""
    try:
        first_difference(place, want, got)
    except Differs as d:
        return str(d)
    return None


def by_peer(whois):
    """The captured form, turned round: peer -> capabilities."""
    return {p: no_null(entry["caps"])
            for entry in whois or [] for p in entry["from"]}


def holds(texts, address):
    family, n = lexis.parse_address(address)
    for s in texts:
        if s == "*":
            return True
        r = text_range(s)
        if r[0] == family and r[1] <= n <= r[2]:
            return True
    return False


def capabilities(rules, from_, to):
    """The values of all CapGrants that fit, one after the other."""
    out = {}
    for rule in rules or []:
        for g in rule.get("CapGrant") or []:
            if holds(rule["SrcIPs"], from_) and holds(g["Dsts"], to):
                for name, values in g["CapMap"].items():
                    out[name] = out.get(name, []) + (values or [])
    return no_null(out)


def addresses_of(n):
    return [n["ipv4"] + "/32", n["ipv6"] + "/128"]


# ---- one case ------------------------------------------------------------

class Case:
    def __init__(self, case, skip, tailnet, standard_users):
        self.case = case
        self.skip = skip
        self.skipped_nodes = {s[len("node:"):] for s in skip
                              if s.startswith("node:")}
        self.input = runner_input(case, tailnet, standard_users)

    def run(self, answer):
        """{level: None or the text of its first difference}; a level that
        has nothing to compare passes."""
        out = dict.fromkeys(LEVELS)
        if "all" in self.skip:
            return out
        try:
            self.verdict(answer)
        except Differs as d:
            return dict.fromkeys(LEVELS, str(d))
        if self.case["api"]["code"] != 200 or "all-but-verdict" in self.skip:
            return out
        for level, check in (("L2", self.sets), ("L3", self.exact),
                             ("L4", self.views)):
            try:
                check(answer["nodes"])
            except Differs as d:
                out[level] = str(d)
        return out

    def verdict(self, answer):
        api = self.case["api"]
        if answer["ok"] not in (True, False):
            raise Differs("verdict", "true or false", answer.get("message"))
        if api["code"] == 200:
            if not answer["ok"]:
                raise Differs("verdict", "accepted",
                              "refused: %s" % answer.get("message"))
            return
        if answer["ok"]:
            raise Differs("verdict", "refused: %s" % api.get("message"),
                          "accepted")
        # skip "code" is about the status alone, which no runner tells; but
        # the text of a fault of the service itself (500) is about nothing
        if "message" in self.skip or "all-but-verdict" in self.skip or \
                api["code"] >= 500:
            return
        if answer.get("message") != api.get("message"):
            raise Differs("message", api.get("message"),
                          answer.get("message"))

    def captured(self, got):
        for name in sorted(self.case.get("expect") or {}):
            if name not in got:
                raise Differs(name, "a node", "(nothing)")
            yield name, self.case["expect"][name], got[name]

    def sets(self, got):
        self.rules(got, True, True)

    def exact(self, got):
        self.rules(got, "order" in self.skip, False)

    def rules(self, got, unordered, loose):
        for name, want, have in self.captured(got):
            first_difference(name + ".filter",
                             norm_filter(want["filter"], unordered, loose),
                             norm_filter(have["filter"], unordered, loose))
            first_difference(name + ".ssh",
                             norm_ssh(want.get("ssh"), unordered, loose),
                             norm_ssh(have["ssh"], unordered, loose))

    def views(self, got):
        for name, want, have in self.captured(got):
            first_difference(
                name + ".caps",
                norm_caps(self.case["capsets"][want["caps"]]),
                norm_caps(have["caps"]))
            self.addresses(name, name, want, have)
            first_difference(name + ".tags", self.tags(name, want),
                             sorted(have["tags"]))
            wp, hp = want.get("peers") or {}, have["peers"]
            first_difference(name + ".peers", sorted(wp), sorted(hp))
            for p in sorted(wp):
                place = "%s.peers.%s" % (name, p)
                self.addresses(place, p, wp[p], hp[p])
                first_difference(place + ".caps",
                                 no_null(wp[p].get("caps") or {}),
                                 no_null(hp[p].get("caps") or {}))
        for name in sorted(self.case["nodes"]):
            if name in self.skipped_nodes:
                continue
            n = self.case["nodes"][name]
            approved = set(n.get("approved") or [])
            first_difference(
                name + ".approves",
                sorted(r for r in n.get("routes") or [] if r in approved),
                sorted(got[name]["approves"]))

    def tags(self, node, want):
        return sorted(want.get("tags", self.case["nodes"][node].get("tags")
                               or []))

    def optional(self, got):
        """(name, None or the text of a difference) of each optional field
        that can be compared."""
        seen = collections.defaultdict(set)
        for _, want, _ in self.captured(got):
            for p, view in (want.get("peers") or {}).items():
                seen[p].add(not view.get("offline", False))
        for name, want, have in self.captured(got):
            for p, view in (want.get("peers") or {}).items():
                place = "%s.peers.%s" % (name, p)
                peer = have["peers"].get(p, {})
                yield "peer tags", told(place + ".tags", self.tags(p, view),
                                        sorted(peer.get("tags", [])))
                # some were still told the one while others were told the
                # other: not decided
                if len(seen[p]) == 1:
                    yield "online", told(place + ".online",
                                         not view.get("offline", False),
                                         peer.get("online"))
            if "whois" in want:
                yield "whois", told(name + ".whois", by_peer(want["whois"]),
                                    self.whois(name, want, have))

    def whois(self, name, want, have):
        """Peer -> the capabilities that the filter gives it on the node, as
        a client reckons them."""
        out = {}
        own = self.case["nodes"][name]
        for p in want.get("peers") or {}:
            caps = {}
            for family in ("ipv4", "ipv6"):
                caps[family] = capabilities(
                    have["filter"], self.case["nodes"][p][family],
                    own[family])
            first_difference("%s.whois.%s" % (name, p), caps["ipv4"],
                             caps["ipv6"])
            if caps["ipv4"]:
                out[p] = caps["ipv4"]
        return out

    def addresses(self, place, node, want, have):
        """Addresses, AllowedIPs and PrimaryRoutes, as sets."""
        addrs = want.get("addrs", addresses_of(self.case["nodes"][node]))
        first_difference(place + ".addrs", sorted(addrs),
                         sorted(have["addrs"]))
        if node in self.skipped_nodes:
            return
        first_difference(place + ".allowed",
                         sorted(want.get("allowed", addrs)),
                         sorted(have["allowed"]))
        first_difference(place + ".primary",
                         sorted(want.get("primary") or []),
                         sorted(have["primary"]))


# ---- the whole folder ----------------------------------------------------

def load(folder):
    """[Case], by category and name."""
    with open(os.path.join(folder, "tailnet.json")) as f:
        tailnet = json.load(f)
    manifest = {}
    path = os.path.join(folder, "manifest.json")
    if os.path.exists(path):
        with open(path) as f:
            manifest = {m["id"]: m for m in json.load(f)}
    raw = []
    for category in sorted(os.listdir(folder)):
        sub = os.path.join(folder, category)
        if not os.path.isdir(sub):
            continue
        for name in sorted(os.listdir(sub)):
            if name.endswith(".json"):
                with open(os.path.join(sub, name)) as f:
                    case = json.load(f)
                case["category"] = category
                raw.append(case)
    users = standard_users(raw, tailnet)
    return [Case(c, manifest.get(c["id"], {}).get("skip") or [], tailnet,
                 users) for c in raw]


def standard_users(raw, tailnet):
    """The users of cases whose own list has no e-mails: those of most other
    cases, and if there are none the ones that tailnet.json names."""
    lists = collections.Counter(
        stable(c["users"]) for c in raw
        if c["users"] and all(u["email"] for u in c["users"]))
    if lists:
        best = max(lists.items(), key=lambda x: (x[1], x[0]))[0]
        return json.loads(best)
    return [{"id": i + 1, "name": name,
             "email": "%s@%s" % (name, tailnet["domains"][0])}
            for i, name in enumerate(tailnet.get("roles", {}))]


def count_optional(case, answer, extra):
    if not answer["ok"] or case.case["api"]["code"] != 200 or \
            {"all", "all-but-verdict"} & set(case.skip):
        return
    try:
        for name, why in case.optional(answer["nodes"]):
            extra[name, why is None] += 1
            if why is not None:
                print("%s %s (optional): %s" % (case.case["id"], name, why))
    except (Differs, KeyError, TypeError, AttributeError) as e:
        print("%s (optional): %s" % (case.case["id"], e))


def main(argv):
    if len(argv) != 3:
        print("usage: compare.py RUNNER|naive DIR", file=sys.stderr)
        return 2
    cases = load(argv[2])
    runner = None if argv[1] == "naive" else Runner(argv[1])
    total = collections.Counter()
    passed = collections.Counter()
    extra = collections.Counter()
    good = 0
    for case in cases:
        if runner is None:
            answer = naive.evaluate(case.input)
        else:
            answer = runner.ask(case.input)
        category = case.case["category"]
        try:
            result = case.run(answer)
        except (KeyError, TypeError, AttributeError) as e:
            result = dict.fromkeys(LEVELS, "answer has no form: %r" % e)
        count_optional(case, answer, extra)
        for level in LEVELS:
            total[category, level] += 1
            passed[category, level] += result[level] is None
        bad = [x for x in LEVELS if result[x] is not None]
        if bad:
            print("%s %s: %s" % (case.case["id"], bad[0], result[bad[0]]))
        else:
            good += 1
    if runner is not None:
        runner.close()
    for category in sorted({c for c, _ in total}):
        print("%-12s %s" % (category, "  ".join(
            "%s %d/%d" % (x, passed[category, x], total[category, x])
            for x in LEVELS)))
    print("optional     %s" % "  ".join(
        "%s %d/%d" % (x, extra[x, True], extra[x, True] + extra[x, False])
        for x in OPTIONAL))
    print("captures: %d/%d" % (good, len(cases)))
    return 0 if good == len(cases) and cases else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
