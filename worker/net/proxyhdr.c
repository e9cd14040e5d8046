#include <string.h>

#include "worker/net/proxyhdr.h"

#define V1_MAX		107		/* with CRLF */
#define V2_HEAD		16

#define V2_LOCAL	0x20		/* version and command */
#define V2_PROXY	0x21
#define V2_TCP4		0x11		/* family and protocol */
#define V2_TCP6		0x21

static const uint8_t magic1[] = "PROXY ";
static const uint8_t magic2[] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
    0x51, 0x55, 0x49, 0x54, 0x0a };

/* The next word of a line; false if there is none. */
static bool
word(struct slice *line, struct slice *w)
{
	const char *sp;

	if (line->n == 0)
		return false;
	*w = *line;
	sp = memchr(line->p, ' ', line->n);
	if (sp == NULL) {
		line->n = 0;
		return true;
	}
	w->n = (size_t)(sp - line->p);
	line->p += w->n + 1;
	line->n -= w->n + 1;
	return w->n != 0 && line->n != 0;
}

static bool
port(struct slice s, uint16_t *v)
{
	uint32_t n = 0;
	size_t i;

	if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(s.p[i] - '0');
	}
	*v = (uint16_t)n;
	return n <= UINT16_MAX;
}

/* The line behind "PROXY ", without its end. */
static bool
parse_line(struct proxyhdr *h, struct slice line)
{
	struct slice proto, src, dst, sport, dport;
	struct ip to;
	uint16_t unused;
	unsigned int family;

	if (slice_eqs(line, "UNKNOWN") || slice_prefix(line, "UNKNOWN "))
		return true;
	if (!word(&line, &proto) || !word(&line, &src) || !word(&line, &dst) ||
	    !word(&line, &sport) || !word(&line, &dport) || line.n != 0)
		return false;
	if (slice_eqs(proto, "TCP4"))
		family = 4;
	else if (slice_eqs(proto, "TCP6"))
		family = 6;
	else
		return false;
	h->has_peer = true;
	if (!ip_parse(&h->peer.addr, src) || !ip_parse(&to, dst) ||
	    h->peer.addr.family != family || to.family != family)
		return false;
	ip_unmap(&h->peer.addr);
	return port(sport, &h->peer.port) && port(dport, &unused);
}

static long
parse1(struct proxyhdr *h, const uint8_t *p, size_t n)
{
	size_t skip = sizeof(magic1) - 1, max = n < V1_MAX ? n : V1_MAX;
	const uint8_t *lf;
	struct slice line;

	lf = memchr(p, '\n', max);
	if (lf == NULL)
		return n < V1_MAX ? 0 : -1;
	if (lf[-1] != '\r')
		return -1;
	line = slice_mem(p + skip, (size_t)(lf - p) - skip - 1);
	return parse_line(h, line) ? lf - p + 1 : -1;
}

static void
take_peer(struct proxyhdr *h, const uint8_t *p, uint8_t family)
{
	size_t n = family == 4 ? 4 : 16;

	h->has_peer = true;
	h->peer.addr.family = family;
	memcpy(h->peer.addr.b, p, n);
	ip_unmap(&h->peer.addr);
	h->peer.port = (uint16_t)(p[2 * n] << 8 | p[2 * n + 1]);
}

/* What follows the addresses, its TLVs, is not for us. */
static long
parse2(struct proxyhdr *h, const uint8_t *p, size_t n)
{
	size_t len;

	if (n < V2_HEAD)
		return 0;
	len = (size_t)p[14] << 8 | p[15];
	if ((p[12] != V2_LOCAL && p[12] != V2_PROXY) ||
	    len > PROXYHDR_MAX - V2_HEAD)
		return -1;
	if (n < V2_HEAD + len)
		return 0;
	if (p[12] == V2_LOCAL)
		return (long)(V2_HEAD + len);
	switch (p[13]) {
	case V2_TCP4:
		if (len < 12)
			return -1;
		take_peer(h, p + V2_HEAD, 4);
		break;
	case V2_TCP6:
		if (len < 36)
			return -1;
		take_peer(h, p + V2_HEAD, 6);
		break;
	case 0:			/* unspecified */
		break;
	default:		/* UDP or UNIX: over TCP? */
		return -1;
	}
	return (long)(V2_HEAD + len);
}

static bool
begins(const uint8_t *p, size_t n, const uint8_t *magic, size_t len)
{
	return memcmp(p, magic, n < len ? n : len) == 0;
}

long
proxyhdr_parse(struct proxyhdr *h, const uint8_t *p, size_t n)
{
	memset(h, 0, sizeof(*h));
	if (n == 0)
		return 0;
	if (begins(p, n, magic2, sizeof(magic2)))
		return n < sizeof(magic2) ? 0 : parse2(h, p, n);
	if (begins(p, n, magic1, sizeof(magic1) - 1))
		return n < sizeof(magic1) - 1 ? 0 : parse1(h, p, n);
	return -1;
}

/* X-Forwarded-For. */

/* "1.2.3.4", "1.2.3.4:5", "::1", "[::1]" or "[::1]:5". */
static bool
address(struct ip *ip, struct slice s)
{
	struct ipport ipp;

	if (ip_parse(ip, s))
		return true;
	if (ipport_parse(&ipp, s)) {
		*ip = ipp.addr;
		return true;
	}
	return s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']' &&
	    ip_parse(ip, slice_mem(s.p + 1, s.n - 2)) && ip->family == 6;
}

static bool
is_ours(const struct ip *ip, const struct prefix *proxies, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (prefix_has(&proxies[i], ip))
			return true;
	return false;
}

/* Cuts the last item of a list off. */
static struct slice
last(struct slice *list)
{
	struct slice item = *list;
	size_t at = list->n;

	while (at != 0 && list->p[at - 1] != ',')
		at--;
	item.p += at;
	item.n -= at;
	list->n = at == 0 ? 0 : at - 1;
	while (item.n != 0 && (item.p[0] == ' ' || item.p[0] == '\t')) {
		item.p++;
		item.n--;
	}
	while (item.n != 0 && (item.p[item.n - 1] == ' ' ||
	    item.p[item.n - 1] == '\t'))
		item.n--;
	return item;
}

bool
forwarded_parse(struct ip *ip, struct slice value,
    const struct prefix *proxies, size_t n)
{
	struct ip next;
	bool found = false;

	while (value.n != 0) {
		if (!address(&next, last(&value)))
			return found;
		ip_unmap(&next);
		*ip = next;
		found = true;
		if (!is_ours(ip, proxies, n))
			break;
	}
	return found;
}
