#!/usr/bin/env python3
"""diff.py RUNNER [--count N] [--seed S] [--jobs J] [--show SEED]: random
policies through a runner and through the judge (README).

Every field of the answers is compared.  Lists whose order means nothing
(AllowedIPs, Dsts and the like) are compared as sets, all else exactly.  Exit
status 0 if all agree.
"""

import argparse
import json
import multiprocessing
import sys

sys.dont_write_bytecode = True

import compare
import gen
import naive
from runner import Runner


def message_of(answer):
    """The part of a refusal's text that policy.md fixes."""
    text = answer.get("message")
    if isinstance(text, str) and text.startswith("hujson: line "):
        return ":".join(text.split(":")[:2])
    return text


def normal(node):
    """An answer about one node, ready to compare."""
    out = dict(node)
    out["filter"] = compare.norm_filter(node["filter"], False, False)
    for rule in out["filter"]:
        for g in rule.get("CapGrant") or []:
            g["Dsts"] = sorted(g["Dsts"])
    out["ssh"] = compare.norm_ssh(node["ssh"], False, False)
    out["caps"] = compare.norm_caps(node["caps"])
    for k in ("addrs", "allowed", "primary", "approves", "tags"):
        out[k] = sorted(node[k])
    out["peers"] = {
        name: dict(p, addrs=sorted(p["addrs"]), allowed=sorted(p["allowed"]),
                   primary=sorted(p["primary"]), tags=sorted(p["tags"]),
                   caps=compare.no_null(p["caps"]))
        for name, p in node["peers"].items()}
    return out


def difference(want, got):
    """The first field that differs, as text, or None."""
    try:
        if got.get("ok") != want["ok"]:
            raise compare.Differs("verdict", verdict(want), verdict(got))
        if not want["ok"]:
            if not want.get("loose") and \
                    message_of(want) != message_of(got):
                raise compare.Differs("message", message_of(want),
                                      message_of(got))
            return None
        compare.first_difference("nodes", sorted(want["nodes"]),
                                 sorted(got["nodes"]))
        for name in sorted(want["nodes"]):
            compare.first_difference(name, normal(want["nodes"][name]),
                                     normal(got["nodes"][name]))
    except compare.Differs as d:
        return str(d)
    except (KeyError, TypeError, AttributeError) as e:
        return "the answer has no form: %r" % e
    return None


def verdict(answer):
    if answer.get("ok"):
        return "accepted"
    return "refused: %s" % answer.get("message")


# One runner for each process of the pool.
asked = None


def start(command):
    global asked
    asked = None if command == "naive" else Runner(command)


def one(seed):
    case = gen.case(seed)
    want = naive.evaluate(case)
    # through JSON, as the runner's answer comes
    want = json.loads(json.dumps(want))
    if asked is None:
        got = naive.evaluate(json.loads(json.dumps(case)))
    else:
        got = asked.ask(case)
    return seed, want["ok"], difference(want, got)


def show(command, seed):
    """A small file to reproduce one seed with, and both answers."""
    start(command)
    case = gen.case(seed)
    want = naive.evaluate(case)
    got = naive.evaluate(case) if asked is None else asked.ask(case)
    print("// seed %d: %s" % (seed, difference(
        json.loads(json.dumps(want)), got) or "agreed"))
    print(json.dumps({"case": case, "want": want, "got": got}, indent=1,
                     sort_keys=True))
    if asked is not None:
        asked.close()
    return 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("runner")
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--show", type=int)
    p.add_argument("--most", type=int, default=20,
                   help="failures printed")
    a = p.parse_args()
    if a.show is not None:
        return show(a.runner, a.show)
    agreed = differ = refused = 0
    seeds = range(a.seed, a.seed + a.count)
    with multiprocessing.Pool(a.jobs, start, (a.runner,)) as pool:
        for seed, ok, text in pool.imap(one, seeds, chunksize=20):
            refused += not ok
            if text is None:
                agreed += 1
                continue
            differ += 1
            if differ <= a.most:
                print("seed %d: %s" % (seed, text), flush=True)
    print("refused by the judge: %d" % refused)
    print("differential: %d agreed, %d differ" % (agreed, differ))
    return 0 if differ == 0 and agreed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
