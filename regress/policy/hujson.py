"""A small HuJSON reader: JSON, comments, one trailing comma.  See policy.md 1.

Objects come back as Object, a list of (name, value) pairs in the order of the
text, so that the reader of a section can see members that occur twice.
Numbers keep their meaning (int or float), strings are Python strings.
"""

import json
import re


class SyntaxFault(Exception):
    """Text that is no HuJSON document; line and column count from 1."""

    def __init__(self, line, column, why):
        super().__init__("hujson: line %d, column %d: %s"
                         % (line, column, why))
        self.line = line
        self.column = column


class Object(list):
    """The members of an object, as (name, value) pairs."""


# Containers deeper than this are refused; a policy needs less than ten.
MAX_DEPTH = 1000

NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# What a number may look like while it is still unfinished.
HEX = b"0123456789abcdefABCDEF"


class Reader:
    def __init__(self, text):
        self.b = text
        self.n = 0

    def fail(self, at, why):
        line = self.b.count(b"\n", 0, at) + 1
        column = at - (self.b.rfind(b"\n", 0, at) + 1) + 1
        raise SyntaxFault(line, column, why)

    def end(self):
        self.fail(len(self.b), "unexpected end of text")

    def peek(self):
        if self.n >= len(self.b):
            self.end()
        return self.b[self.n]

    def extra(self):
        """White space and comments; the text may end here."""
        b = self.b
        while self.n < len(b):
            c = b[self.n]
            if c in b" \t\r\n":
                self.n += 1
                continue
            if c != 0x2F:
                return
            start = self.n
            end = {b"//": b"\n", b"/*": b"*/"}.get(bytes(b[start:start + 2]))
            if end is None:
                self.fail(start, "invalid character '/'")
            stop = b.find(end, start + 2)
            if stop < 0:
                self.fail(start, "comment without end")
            stop += len(end)
            try:
                b[start:stop].decode("utf-8")
            except UnicodeDecodeError as e:
                self.fail(start + e.start, "comment is not valid UTF-8")
            nul = b.find(b"\0", start, stop)
            if nul >= 0:
                self.fail(nul, "NUL in a comment")
            self.n = stop

    def document(self):
        self.extra()
        v = self.value(0)
        self.extra()
        if self.n < len(self.b):
            self.fail(self.n, "invalid character after the value")
        return v

    def value(self, depth):
        c = self.peek()
        if c in b"{[" and depth >= MAX_DEPTH:
            self.fail(self.n, "nested too deeply")
        if c == 0x7B:
            return self.object(depth)
        if c == 0x5B:
            return self.array(depth)
        if c == 0x22:
            return self.string()
        if c == 0x2D or 0x30 <= c <= 0x39:
            return self.number()
        for word, v in ((b"true", True), (b"false", False), (b"null", None)):
            if c == word[0]:
                return self.literal(word, v)
        self.fail(self.n, "invalid character at the start of a value")

    def literal(self, word, v):
        for i, c in enumerate(word):
            if self.n + i >= len(self.b):
                self.end()
            if self.b[self.n + i] != c:
                self.fail(self.n + i, "invalid character in a literal")
        self.n += len(word)
        return v

    def number(self):
        m = NUMBER.match(self.b, self.n)
        if m is None:
            # only a lone minus sign comes here
            self.n += 1
            self.peek()
            self.fail(self.n, "invalid character in a number")
        stop = m.end()
        rest = self.b[stop:stop + 2]
        if rest[:1] == b"." and m.group(2) is None and m.group(3) is None:
            self.n = stop + 1
            self.peek()
            self.fail(self.n, "invalid character in a number")
        if rest[:1] in (b"e", b"E") and m.group(3) is None:
            self.n = stop + 1
            if self.peek() in b"+-":
                self.n += 1
                self.peek()
            self.fail(self.n, "invalid character in a number")
        self.n = stop
        return json.loads(m.group(0))

    def string(self):
        b = self.b
        start = self.n
        i = start + 1
        while True:
            if i >= len(b):
                self.end()
            c = b[i]
            if c == 0x22:
                break
            if c < 0x20:
                self.fail(i, "control character in a string")
            if c == 0x5C:
                i += 1
                if i >= len(b):
                    self.end()
                if b[i] == 0x75:
                    for k in range(1, 5):
                        if i + k >= len(b):
                            self.end()
                        if b[i + k] not in HEX:
                            self.fail(i + k, "invalid escape in a string")
                    i += 4
                elif b[i] not in b"\"\\/bfnrt":
                    self.fail(i, "invalid escape in a string")
            i += 1
        raw = b[start:i + 1]
        try:
            s = json.loads(raw.decode("utf-8"))
            s.encode("utf-8")
        except UnicodeDecodeError as e:
            self.fail(start + e.start, "string is not valid UTF-8")
        except UnicodeEncodeError:
            self.fail(start, "string holds half a surrogate pair")
        self.n = i + 1
        return s

    def empty(self, close):
        """At an opening bracket: does close follow?  Then past both."""
        self.n += 1
        self.extra()
        if self.peek() != close:
            return False
        self.n += 1
        return True

    def more(self, close, last):
        """After an element or member: does another one follow?"""
        self.extra()
        c = self.peek()
        if c == 0x2C:
            self.n += 1
            self.extra()
            if self.peek() != close:
                return True
        elif c != close:
            self.fail(self.n, "invalid character after " + last)
        self.n += 1
        return False

    def array(self, depth):
        out = []
        more = not self.empty(0x5D)
        while more:
            out.append(self.value(depth + 1))
            more = self.more(0x5D, "an element")
        return out

    def object(self, depth):
        out = Object()
        more = not self.empty(0x7D)
        while more:
            if self.peek() != 0x22:
                self.fail(self.n, "invalid character at the start of a name")
            name = self.string()
            self.extra()
            if self.peek() != 0x3A:
                self.fail(self.n, "invalid character after a name")
            self.n += 1
            self.extra()
            self.peek()
            out.append((name, self.value(depth + 1)))
            more = self.more(0x7D, "a member")
        return out


def read(text):
    """The value of a HuJSON text (str or bytes); SyntaxFault if it is none."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    return Reader(text).document()


def plain(v):
    """The value with ordinary dicts; of equal names the last one counts."""
    if isinstance(v, Object):
        return {k: plain(x) for k, x in v}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v
