"""The lexical forms of policies: policy.md 3.  Addresses are integers here: a
range is (family, first, last), family 4 or 6, both ends included."""

import ipaddress
import re


class Fault(Exception):
    """A refusal.  loose: the text of the message is not fixed by policy.md,
    so only the verdict can be compared."""

    def __init__(self, message, loose=False):
        super().__init__(message)
        self.message = message
        self.loose = loose


def quote(s):
    """Go's %q, which the service uses in its messages."""
    out = ['"']
    named = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n",
             "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"',
             "\\": "\\\\"}
    for c in s:
        n = ord(c)
        if c in named:
            out.append(named[c])
        elif c == " " or c.isprintable():
            out.append(c)
        elif n < 0x80:
            out.append("\\x%02x" % n)
        elif n < 0x10000:
            out.append("\\u%04x" % n)
        else:
            out.append("\\U%08x" % n)
    out.append('"')
    return "".join(out)


# ---- addresses -----------------------------------------------------------

V4 = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.(0|[1-9][0-9]{0,2})){3}\Z")


def parse_address(s):
    """(family, number) or None."""
    if ":" not in s:
        if V4.match(s) is None:
            return None
        parts = [int(x) for x in s.split(".")]
        if max(parts) > 255:
            return None
        a, b, c, d = parts
        return (4, a << 24 | b << 16 | c << 8 | d)
    base, percent, zone = s.partition("%")
    if percent and zone == "":
        return None
    try:
        return (6, int(ipaddress.IPv6Address(base)))
    except ValueError:
        return None


def address_text(family, n):
    if family == 4:
        return "%d.%d.%d.%d" % (n >> 24, n >> 16 & 255, n >> 8 & 255,
                                n & 255)
    return str(ipaddress.IPv6Address(n))


def bits_of(family):
    return 32 if family == 4 else 128


class Prefix:
    """An address with a length; host bits are cut off."""

    def __init__(self, family, n, length):
        width = bits_of(family)
        hosts = (1 << (width - length)) - 1
        self.family = family
        self.length = length
        self.first = n & ~hosts
        self.last = self.first | hosts
        self.range = (family, self.first, self.last)
        self.single = length == width
        self.text = "%s/%d" % (address_text(family, self.first), length)
        # the form of filter rules: a single address goes without its length
        self.short = self.text.rpartition("/")[0] if self.single \
            else self.text
        self.is_exit = length == 0

    def __repr__(self):
        return self.text


LENGTH = re.compile(r"(0|[1-9][0-9]{0,2})\Z")


def parse_prefix(s, bare=True):
    """A Prefix or None.  bare: an address alone will do."""
    base, slash, length = s.partition("/")
    if not slash:
        if not bare:
            return None
        a = parse_address(s)
        return None if a is None else Prefix(a[0], a[1], bits_of(a[0]))
    if "%" in base or LENGTH.match(length) is None:
        return None
    a = parse_address(base)
    if a is None or int(length) > bits_of(a[0]):
        return None
    return Prefix(a[0], a[1], int(length))


def overlap(x, y):
    return x[0] == y[0] and x[1] <= y[2] and y[1] <= x[2]


def inside(x, y):
    """x lies wholly in y."""
    return x[0] == y[0] and y[1] <= x[1] and x[2] <= y[2]


def split_range(r):
    """The prefixes that make up a range, in order."""
    family, first, last = r
    out = []
    while first <= last:
        size = first & -first or 1 << bits_of(family)
        while size > last - first + 1:
            size >>= 1
        out.append(Prefix(family, first,
                          bits_of(family) - (size.bit_length() - 1)))
        first += size
    return out


# ---- aliases -------------------------------------------------------------

# Go's unicode.IsSpace
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005" \
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def trim(s):
    return s.strip(SPACE)


class Alias:
    """kind: prefix any domain user group tag autogroup host."""

    def __init__(self, kind, text, prefix=None):
        self.kind = kind
        self.text = text
        self.prefix = prefix

    def __repr__(self):
        return "<%s %s>" % (self.kind, self.text)


def parse_alias(s):
    """policy.md 3.1: the first form that fits."""
    p = parse_prefix(s)
    if p is not None:
        return Alias("prefix", s, p)
    if s == "*":
        return Alias("any", s)
    if s.startswith("user:*@"):
        return Alias("domain", s)
    if "@" in s:
        return Alias("user", s)
    for kind in ("group", "tag", "autogroup"):
        if s.startswith(kind + ":"):
            return Alias(kind, s)
    if ":" not in s:
        return Alias("host", s)
    raise Fault("invalid alias format: " + quote(s))


def is_self(alias):
    return alias.text == "autogroup:self"


def domain_of(alias):
    return alias.text[len("user:*@"):]


# ---- ports and protocols -------------------------------------------------

INTEGER = re.compile(r"[0-9]+\Z")


def port_number(s):
    if INTEGER.match(s) is None:
        raise ValueError("invalid first integer")
    n = int(s)
    if not 0 <= n <= 65535:
        raise ValueError("port number out of range")
    return n


def parse_ports(s):
    """A list of (first, last); ValueError carries the reason (3.3)."""
    if s == "*":
        return [(0, 65535)]
    out = []
    for part in s.split(","):
        if "-" in part:
            ends = [x for x in part.split("-") if x != ""]
            if len(ends) != 2:
                raise ValueError("invalid port range format")
            first, last = port_number(ends[0]), port_number(ends[1])
            if first > last:
                raise ValueError("invalid port range: first port is greater "
                                 "than last port")
            out.append((first, last))
        else:
            n = port_number(part)
            if n == 0:
                raise ValueError("first port must be >0, or use '*' for "
                                 "wildcard")
            out.append((n, n))
    return out


def port_fault(ports, why, before=""):
    return Fault('%sport range "%s": %s' % (before, ports, why))


PROTOCOLS = {"icmp": 1, "igmp": 2, "ipv4": 4, "ip-in-ip": 4, "tcp": 6,
             "egp": 8, "igp": 9, "udp": 17, "gre": 47, "esp": 50, "ah": 51,
             "ipv6-icmp": 58, "sctp": 132, "fc": 133}
PORTED = (6, 17, 132)


def parse_protocol(s):
    """The number of a protocol, or a Fault (3.5)."""
    if s == "*":
        raise Fault('proto name "*" not known; use protocol number 0-255 or '
                    'protocol name (icmp, tcp, udp, etc.)')
    if s in PROTOCOLS:
        return PROTOCOLS[s]
    if re.match(r"[0-9]+\Z", s) is None:
        raise Fault("invalid protocol number: %s must be a known protocol "
                    "name or valid protocol number 0-255" % quote(s))
    if s[0] == "0":
        raise Fault("leading 0 not permitted in protocol number: " + quote(s))
    if int(s) > 255:
        raise Fault("protocol number out of range (0-255): %d" % int(s))
    return int(s)


def protocol_name(number):
    for name, n in PROTOCOLS.items():
        if n == number:
            return name
    return str(number)


def split_hostport(s):
    """(host, ports) of an ACL destination (3.2)."""
    if ":" not in s:
        raise Fault("hostport must contain a colon")
    if s.startswith("["):
        m = re.match(r"\[([^\]]*)\](/[0-9]+)?:(.*)\Z", s, re.S)
        if m is not None:
            a = parse_address(m.group(1))
            if a is None or a[0] != 6:
                raise Fault("square brackets are only valid around IPv6 "
                            "addresses")
            if m.group(3) == "":
                raise Fault("input cannot end with a colon character")
            return m.group(1) + (m.group(2) or ""), m.group(3)
        raise Fault("square brackets are only valid around IPv6 addresses")
    host, _, ports = s.rpartition(":")
    if host == "":
        raise Fault("input cannot start with a colon character")
    if ports == "":
        raise Fault("input cannot end with a colon character")
    return host, ports


# ---- durations -----------------------------------------------------------

UNITS = {"ns": 1, "us": 10 ** 3, "\u00b5s": 10 ** 3, "\u03bcs": 10 ** 3,
         "ms": 10 ** 6, "s": 10 ** 9, "m": 60 * 10 ** 9, "h": 3600 * 10 ** 9}


def parse_duration(s):
    """Nanoseconds of a Go duration (3.7)."""
    bad = Fault("time: invalid duration " + quote(s))
    rest = s
    negative = False
    if rest[:1] in ("+", "-"):
        negative = rest[0] == "-"
        rest = rest[1:]
    if rest == "0":
        return 0
    if rest == "":
        raise bad
    total = 0
    while rest != "":
        m = re.match(r"([0-9]*)(?:\.([0-9]*))?", rest)
        whole, part = m.group(1), m.group(2)
        if whole == "" and not part or int(whole or "0") > 1 << 63:
            raise bad
        rest = rest[m.end():]
        unit = re.match(r"[^0-9.]*", rest).group(0)
        if unit == "":
            raise Fault("time: missing unit in duration " + quote(s))
        if unit not in UNITS:
            raise Fault("time: unknown unit %s in duration %s"
                        % (quote(unit), quote(s)))
        rest = rest[len(unit):]
        total += int(whole or "0") * UNITS[unit]
        if part:
            total += int(part) * UNITS[unit] // 10 ** len(part)
        if total > 1 << 63:
            raise bad
    if total == 1 << 63 and not negative:
        raise bad
    return -total if negative else total


def duration_text(ns):
    """Go's canonical form, of whole and part seconds."""
    if ns == 0:
        return "0s"
    sign = "-" if ns < 0 else ""
    ns = abs(ns)
    if ns < 10 ** 9:
        for unit, size in (("ms", 10 ** 6), ("\u00b5s", 10 ** 3), ("ns", 1)):
            if ns >= size:
                return sign + decimal(ns, size) + unit
    hours, ns = divmod(ns, UNITS["h"])
    minutes, ns = divmod(ns, UNITS["m"])
    out = decimal(ns, 10 ** 9) + "s"
    if hours or minutes:
        out = "%dm%s" % (minutes, out)
    if hours:
        out = "%dh%s" % (hours, out)
    return sign + out


def decimal(n, unit):
    whole, part = divmod(n, unit)
    if part == 0:
        return str(whole)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return "%d.%s" % (whole, digits)
